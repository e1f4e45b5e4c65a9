"""Where the loopback listener listens, and how its address is written."""

import asyncio
import errno
import socket
from typing import Any

import pytest

from aixtivd.errors import SignInFailed
from aixtivd.host import loopback
from aixtivd.oauth import callback
from aixtivd.oauth.callback import CallbackListener, listens
from aixtivd.oauth.client import Quirks
from peers.knocking import Owner, ask, client, listening


async def test_the_two_addresses_have_one_port_and_nothing_else_is_bound() -> None:
    async with listening(Owner()) as listener:
        for address in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(address, listener.port)
            writer.close()
        with pytest.raises(OSError, match=f"{errno.ECONNREFUSED}"):
            await asyncio.open_connection("127.0.0.2", listener.port)


async def test_a_port_taken_on_one_address_alone_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET6) as squatter:
        squatter.bind(("::1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            other = free.getsockname()[1]
        async with listening(Owner(), quirks=Quirks(redirect_ports=(taken, other))) as listener:
            assert listener.port == other
        with pytest.raises(SignInFailed, match=f"port {taken} on this machine is taken"):
            async with listening(Owner(), port=taken):
                pass


async def test_a_machine_without_ipv6_listens_on_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no IPv6")
        return bound(family, host, port)

    bound = loopback.bound
    monkeypatch.setattr(callback, "_bound", no_ipv6)
    async with listening(Owner()) as listener:
        assert (await ask(listener))[0] == 200
        with pytest.raises(OSError, match=f"{errno.ECONNREFUSED}"):
            await asyncio.open_connection("::1", listener.port)


async def test_the_same_fixed_port_can_be_used_by_the_next_sign_in_at_once() -> None:
    async with listening(Owner()) as listener:
        port = listener.port
        await ask(listener)
    async with listening(Owner(), port=port) as listener:
        assert listener.port == port
        assert (await ask(listener))[0] == 200


@pytest.mark.parametrize(
    ("more", "begins", "ends"),
    [
        ({}, "http://127.0.0.1:", "/callback"),
        ({"quirks": Quirks(redirect_host="localhost")}, "http://localhost:", "/callback"),
        ({"quirks": Quirks(redirect_path="/here")}, "http://127.0.0.1:", "/here"),
        ({"redirect_uri": "http://127.0.0.1/cb"}, "http://127.0.0.1:", "/cb"),
        ({"redirect_uri": "http://[::1]/cb"}, "http://[::1]:", "/cb"),
        ({"redirect_uri": "http://localhost/cb?a=b"}, "http://localhost:", "/cb?a=b"),
    ],
)
async def test_the_redirect_uri_is_written_as_the_provider_knows_it(
    more: dict[str, Any], begins: str, ends: str
) -> None:
    async with listening(Owner(), **more) as listener:
        assert listener.redirect_uri == f"{begins}{listener.port}{ends}"


async def test_a_redirect_uri_with_a_port_is_taken_to_the_letter() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://localhost:{port}/oauth/callback"
    async with listening(Owner(), redirect_uri=uri) as listener:
        assert listener.redirect_uri == uri
        assert (await ask(listener, "/oauth/callback?code=abc&state=right"))[0] == 200
    with pytest.raises(SignInFailed, match="another port than 1"):
        CallbackListener(client(redirect_uri=uri), 1, Owner().answer)


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        ("", True),
        ("http://localhost:3000/oauth/callback", True),
        ("http://127.0.0.1/callback", True),
        ("http://[::1]:5/callback", True),
        ("https://localhost:3000/callback", False),
        ("https://app.example/callback", False),
        ("http://192.168.1.2/callback", False),
        ("urn:ietf:wg:oauth:2.0:oob", False),
        ("com.example.app:/callback", False),
        ("http://[::1/callback", False),
    ],
)
def test_a_redirect_that_is_not_loopback_means_paste_only(uri: str, ours: bool) -> None:
    assert listens(client(redirect_uri=uri)) is ours
