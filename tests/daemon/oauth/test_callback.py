"""The loopback listener: what finishes a sign-in, and all that may knock there and must not."""

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from aixtivd.errors import SignInFailed
from aixtivd.oauth import callback
from aixtivd.oauth.callback import CallbackListener, Page, Response, listens
from aixtivd.oauth.client import Client, Quirks

GOOD = "/callback?code=abc&state=right"


def client(**more: Any) -> Client:
    return Client(provider="p", client_id="c", token_endpoint="https://provider.example/t", **more)


class Owner:
    """Stands for the sign-in: takes the response with the right state, and says so."""

    def __init__(self) -> None:
        self.heard: list[Response] = []
        self.asked = anyio.Event()
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def answer(self, response: Response) -> Page:
        self.heard.append(response)
        self.asked.set()
        await self.may_answer.wait()
        if response.state != "right":
            return Page("Not signed in", "That answer is not for this sign-in.", ok=False)
        if response.error:
            return Page("Not signed in", f"p says {response.error}: {response.error_description}", ok=False)
        return Page("Signed in", "ada is signed in at p.", ok=True, command="aixtiv token")


@asynccontextmanager
async def listening(owner: Owner, port: int = 0, **more: Any) -> AsyncIterator[CallbackListener]:
    async with CallbackListener(client(**more), port, owner.answer) as listener:
        yield listener


async def ask(
    listener: CallbackListener,
    target: str = GOOD,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: str = "",
    address: str = "127.0.0.1",
) -> tuple[int, str, str]:
    """Status, head and body of the answer."""
    named = f"Host: {host or f'127.0.0.1:{listener.port}'}\r\n" if host != "" else ""
    return await say(listener, f"{method} {target} HTTP/1.1\r\n{named}{headers}\r\n".encode(), address)


async def say(listener: CallbackListener, said: bytes, address: str = "127.0.0.1") -> tuple[int, str, str]:
    """Status 0: it hung up without a word."""
    reader, writer = await asyncio.open_connection(address, listener.port)
    try:
        writer.write(said)
        answer = (await reader.read()).decode()
    except ConnectionError:
        answer = ""
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]) if head else 0, head, body


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_code_arrives_on_both_loopback_addresses(address: str) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        status, _, body = await ask(listener, address=address)
    assert status == 200
    assert "ada is signed in at p." in body
    assert owner.heard[0].code
    assert owner.heard[0].code.reveal() == "abc"
    assert owner.heard[0].state == "right"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_it_is_reached_by_each_of_its_names(host: str) -> None:
    async with listening(Owner()) as listener:
        assert (await ask(listener, host=f"{host}:{listener.port}"))[0] == 200


async def test_a_navigation_from_the_providers_site_is_what_a_callback_is() -> None:
    """A browser marks it as cross-site, by nature (D10)."""
    headers = (
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
        "Referer: https://provider.example/\r\nCookie: left=over\r\n"
    )
    async with listening(Owner()) as listener:
        assert (await ask(listener, headers=headers))[0] == 200


async def test_the_page_is_not_written_before_the_answer_is() -> None:
    owner = Owner()
    owner.may_answer = anyio.Event()
    async with listening(owner) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {GOOD} HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode())
        await owner.asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        owner.may_answer.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_page_is_still_written_when_the_owner_leaves_at_once() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        asking = asyncio.ensure_future(ask(listener))
        await owner.asked.wait()
    assert (await asking)[0] == 200


async def test_a_browser_that_hangs_up_does_not_cut_the_answer() -> None:
    owner = Owner()
    finished = anyio.Event()

    async def answer(response: Response) -> Page:
        page = await owner.answer(response)
        finished.set()
        return page

    owner.may_answer = anyio.Event()
    async with CallbackListener(client(), 0, answer) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {GOOD} HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode())
        await owner.asked.wait()
        writer.transport.abort()
        owner.may_answer.set()
        await finished.wait()


async def test_it_is_used_once() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener))[0] == 200
        status, _, body = await ask(listener)
        assert status == 410
        assert "finished before" in body
    assert len(owner.heard) == 1


async def test_two_browsers_at_once_are_answered_one_after_the_other_and_one_wins() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        statuses = [status for status, _, _ in await asyncio.gather(*(ask(listener) for _ in range(5)))]
    assert sorted(statuses) == [200, 410, 410, 410, 410]
    assert len(owner.heard) == 1


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/", "GET", 404),
        ("/favicon.ico", "GET", 404),
        ("/callback/", "GET", 404),
        ("/callback/x?code=abc&state=right", "GET", 404),
        ("/CALLBACK?code=abc&state=right", "GET", 404),
        ("//callback?code=abc&state=right", "GET", 404),
        ("/./callback?code=abc&state=right", "GET", 404),
        ("/%63allback?code=abc&state=right", "GET", 404),
        (GOOD, "POST", 405),
        (GOOD, "HEAD", 405),
        (GOOD, "OPTIONS", 405),
        (GOOD, "get", 405),
        ("http://127.0.0.1/callback?code=abc&state=right", "GET", 400),
        ("*", "GET", 400),
        ("/callback", "GET", 400),
        ("/callback?", "GET", 400),
        ("/callback?state=right", "GET", 400),
        ("/callback?code=abc", "GET", 400),
        ("/callback?code=&state=right", "GET", 400),
        ("/callback?code=abc&state=", "GET", 400),
        ("/callback?code=abc&code=def&state=right", "GET", 400),
        ("/callback?code=abc&state=right&state=right", "GET", 400),
        ("/callback?code=abc&state=right&iss=a&iss=b", "GET", 400),
        ("/callback?code=abc&state=right&error=x", "GET", 400),
        ("/callback?code=abc;state=right", "GET", 400),
        ("/callback?code=%ff&state=right", "GET", 400),
        ("/callback?" + "&".join(f"a{n}=" for n in range(60)) + "&code=abc&state=right", "GET", 400),
        ("/callback?code=abc&state=wrong", "GET", 400),
    ],
)
async def test_what_is_not_the_answer_is_refused_and_leaves_the_listener_open(
    target: str, method: str, status: int
) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener, target, method=method))[0] == status
        assert all(response.state == "wrong" for response in owner.heard)
        assert (await ask(listener))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost", "localhost:1", "127.0.0.1.nip.io:{port}", ""],
)
async def test_a_name_that_is_not_ours_is_a_rebinding_and_misdirected(host: str) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener, host=host.format(port=listener.port)))[0] == 421
        assert not owner.heard
        assert (await ask(listener))[0] == 200


async def test_two_host_lines_are_refused() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener, headers="Host: evil.example\r\n"))[0] == 421
        assert not owner.heard


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /callback?code=abc&state=right\r\n\r\n",
        b"GET /callback?code=abc&state=right HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET  /callback?code=abc&state=right HTTP/1.1\r\n\r\n",
        b"GET /callback?code=\xff&state=right HTTP/1.1\r\n\r\n",
        b"GET /callback?code=\x00&state=right HTTP/1.1\r\n\r\n",
        b"GE(T) /callback?code=abc&state=right HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_400(said: bytes) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await say(listener, said))[0] == 400
        assert not owner.heard


@pytest.mark.parametrize("size", [callback.HEAD_CAP + 1, 1024 * 1024])
async def test_a_huge_address_is_cut_off_and_costs_nothing_else(size: int) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener, f"/callback?code={'x' * size}&state=right"))[0] in {0, 431}
        assert not owner.heard
        assert (await ask(listener))[0] == 200


async def test_a_slow_caller_is_dropped_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "READ_LIMIT", 0.1)
    owner = Owner()
    async with listening(owner) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /callback?code=a")
        assert (await ask(listener))[0] == 200
        assert await reader.read() == b""
        writer.close()


async def test_callers_beyond_the_cap_are_turned_away_until_one_leaves() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        idle = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(callback.CALLERS)]
        await anyio.wait_all_tasks_blocked()
        assert (await ask(listener))[0] == 0
        for _, writer in idle:
            writer.close()
        await anyio.wait_all_tasks_blocked()
        assert (await ask(listener))[0] == 200


async def test_idle_callers_do_not_keep_the_owner_from_leaving() -> None:
    owner = Owner()
    with anyio.fail_after(1):
        async with listening(owner) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            await anyio.wait_all_tasks_blocked()
    writer.close()


async def test_a_refusal_of_the_provider_reaches_the_owner_and_the_person() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        target = "/callback?error=access_denied&error_description=%3Cb%3ENo%3C%2Fb%3E&state=right"
        status, _, body = await ask(listener, target)
    assert status == 400
    assert owner.heard[0].error == "access_denied"
    assert "access_denied: &lt;b&gt;No&lt;/b&gt;" in body


async def test_a_defect_behind_the_answer_ends_in_a_page() -> None:
    async def answer(_: Response) -> Page:
        raise ZeroDivisionError("secret")

    async with CallbackListener(client(), 0, answer) as listener:
        status, _, body = await ask(listener)
    assert status == 400
    assert "aixtiv itself failed" in body
    assert "secret" not in body


async def test_an_error_of_the_owner_passes_through_unchanged() -> None:
    with pytest.raises(KeyError):
        async with listening(Owner()):
            raise KeyError


async def test_an_owner_who_is_cancelled_leaves_like_any_other() -> None:
    owner = Owner()
    with anyio.CancelScope() as scope:
        async with listening(owner) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    writer.close()

    async def own(listens_now: asyncio.Future[int]) -> None:
        async with listening(owner) as listener:
            listens_now.set_result(listener.port)
            await anyio.sleep_forever()

    listens_now: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(own(listens_now))
    port = await listens_now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match=f"{errno.ECONNREFUSED}"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_answer_carries_every_header_that_protects_it() -> None:
    async with listening(Owner()) as listener:
        _, head, body = await ask(listener)
    assert re.search(
        r"content-security-policy: default-src 'none'; style-src 'sha256-[\w+/=]{44}'", head, re.IGNORECASE
    )
    assert "Referrer-Policy: no-referrer" in head
    assert "Cache-Control: no-store" in head
    assert "X-Content-Type-Options: nosniff" in head
    assert "Connection: close" in head
    assert "server" not in head.lower()
    assert int(re.findall(r"Content-Length: (\d+)", head)[0]) == len(body.encode())


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

    bound = callback._bound
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
