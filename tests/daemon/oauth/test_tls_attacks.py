"""Who stands in between on the network: on both ways out, the one to providers and the one to APIs."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aixtivd.config import Network
from aixtivd.errors import Unreachable
from aixtivd.oauth.web import Web
from aixtivd.relay.upstream import Upstream
from peers.canned import raw
from peers.certificates import certificate

SECRET = "hunter2"

Send = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def to_a_provider(network: Network) -> AsyncIterator[Send]:
    web = Web(network)

    async def send(url: str) -> int:
        answer = await web.send("POST", url, headers={"Authorization": f"Basic {SECRET}"}, body=SECRET.encode())
        return answer.status

    yield send
    await web.aclose()


@asynccontextmanager
async def to_an_api(network: Network) -> AsyncIterator[Send]:
    upstream = Upstream(network)

    async def send(url: str) -> int:
        headers = [("authorization", f"Bearer {SECRET}"), ("content-length", "7")]
        sent = await upstream.send("POST", url, headers, SECRET.encode())
        await sent.put_away()
        return sent.status

    yield send
    await upstream.aclose()


both = pytest.mark.parametrize("way", [to_a_provider, to_an_api])


class Listening:
    """A server that keeps all that it is sent."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while SECRET.encode() not in self.heard.partition(b"\r\n\r\n")[2]:
            piece = await reader.read(65536)
            if not piece:
                return
            self.heard += piece
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[Listening]:
    server = Listening()
    async with raw(server.talk, **({"ssl": context} if context else {})) as server.port:
        yield server


def good(folder: Path) -> ssl.SSLContext:
    return certificate(folder)


def of_another_name(folder: Path) -> ssl.SSLContext:
    return certificate(folder, "127.0.0.2")


def expired(folder: Path) -> ssl.SSLContext:
    return certificate(folder, days=-1)


@both
async def test_a_server_that_is_who_it_should_be_is_sent_to(way: Any, folder: Path) -> None:
    context = good(folder)
    async with listening(context) as server, way(Network(ca_file=str(folder / "cert.pem"))) as send:
        assert await send(f"https://127.0.0.1:{server.port}/") == 200
        assert SECRET.encode() in server.heard


@both
@pytest.mark.parametrize(
    ("shows", "said"),
    [
        (of_another_name, "certificate that this machine does not trust"),
        (expired, "certificate that this machine does not trust"),
    ],
)
async def test_not_a_byte_goes_to_a_server_that_is_not(
    way: Any, shows: Callable[[Path], ssl.SSLContext], said: str, folder: Path
) -> None:
    context = shows(folder)
    async with listening(context) as server, way(Network(ca_file=str(folder / "cert.pem"))) as send:
        with pytest.raises(Unreachable, match=said):
            await send(f"https://127.0.0.1:{server.port}/")
        assert server.heard == b""


@both
async def test_not_a_byte_goes_to_a_server_that_nobody_vouches_for(way: Any, folder: Path) -> None:
    context = good(folder)
    async with listening(context) as server, way(Network()) as send:
        with pytest.raises(Unreachable, match="certificate that this machine does not trust"):
            await send(f"https://127.0.0.1:{server.port}/")
        assert server.heard == b""


def made_old(context: ssl.SSLContext) -> ssl.SSLContext:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # what OpenSSL itself would not do by now
    return context


@both
async def test_not_a_byte_goes_to_a_server_that_knows_nothing_newer_than_tls_1_1(way: Any, folder: Path) -> None:
    context = made_old(good(folder))
    async with listening(context) as server, way(Network(ca_file=str(folder / "cert.pem"))) as send:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await send(f"https://127.0.0.1:{server.port}/")
        assert server.heard == b""
        careless = made_old(ssl.create_default_context(cafile=folder / "cert.pem"))
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=careless)
        writer.close()  # another client would have talked to it


@both
async def test_the_environment_can_neither_take_a_request_elsewhere_nor_add_a_credential(
    way: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is what the config says; a .netrc is nobody's."""
    (folder / "netrc").write_text("machine 127.0.0.1 login mallory password p\n")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    async with listening(None) as proxy, listening(None) as server, way(Network()) as send:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await send(f"http://127.0.0.1:{server.port}/") == 200
        assert proxy.heard == b""
        assert server.heard.lower().count(b"authorization:") == 1
        assert b"mallory" not in server.heard


@both
async def test_no_keys_of_a_connection_are_written_down(
    way: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$SSLKEYLOGFILE is for looking into one's own traffic, and would be where a debugger's leak begins."""
    context = good(folder)
    monkeypatch.setenv("SSLKEYLOGFILE", str(folder / "keys"))
    async with listening(context) as server, way(Network(ca_file=str(folder / "cert.pem"))) as send:
        assert await send(f"https://127.0.0.1:{server.port}/") == 200
    written = folder / "keys"
    assert not written.exists() or "CLIENT_" not in written.read_text(), "a comment at its top is no key"


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_no_credential_anywhere(way: Any, status: int) -> None:
    async with listening(None) as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}/"

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(SECRET.encode())
            writer.write(f"HTTP/1.1 {status} Go\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        async with raw(talk) as port, way(Network()) as send:
            assert await send(f"http://127.0.0.1:{port}/") == status
        assert elsewhere.heard == b""


@both
async def test_plain_http_to_localhost_stays_on_this_machine_whatever_the_network_says(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without the name in its hosts file asks the network's DNS, and so asks whoever owns the network."""
    addresses = ["192.0.2.1"]

    async def hostile(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "localhost"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async with listening(None) as server, way(Network()) as send:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hostile)
        with pytest.raises(Unreachable, match=r"localhost.* cannot be found: its name does not resolve"):
            await send(f"http://localhost:{server.port}/")
        addresses.append("127.0.0.1")
        assert await send(f"http://localhost:{server.port}/") == 200
