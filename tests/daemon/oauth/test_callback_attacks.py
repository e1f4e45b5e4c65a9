"""All that may knock at the loopback listener and must neither get in nor use it up."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from aixtivd.host import loopback
from aixtivd.oauth import callback
from aixtivd.oauth.callback import CallbackListener
from peers.knocking import GOOD, Owner, ask, listening, say


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


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("target", [GOOD, "/callback?code=abc&state=guessed", "/"])
async def test_no_page_gets_leave_to_read_what_is_said_here(target: str, method: str) -> None:
    """Nor, by a preflight, to ask from the public network for what is on this machine."""
    page = (
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"
        "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true\r\n"
    )
    async with listening(Owner()) as listener:
        status, head, _ = await ask(listener, target, method=method, headers=page)
    assert status
    assert "access-control-" not in head.lower()


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


@asynccontextmanager
async def idle(listener: CallbackListener, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that say nothing."""
    pairs = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(count)]
    await anyio.wait_all_tasks_blocked()
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


async def test_a_crowd_that_says_nothing_makes_room_for_who_brings_the_answer() -> None:
    """The one that has been silent for longest goes first (attack M9)."""
    owner = Owner()
    async with listening(owner) as listener, idle(listener, callback.CALLERS) as readers:
        assert (await ask(listener))[0] == 200
        assert await readers[0].read() == b""
        assert not any(reader.at_eof() for reader in readers[1:])


async def test_an_endless_stream_of_silent_callers_does_not_keep_the_answer_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callback, "CALLERS", 16)
    owner = Owner()
    full = anyio.Event()
    crowded: deque[SocketStream] = deque()
    async with listening(owner) as listener, AsyncExitStack() as leaving, anyio.create_task_group() as tasks:

        async def crowd() -> None:
            while True:
                crowded.append(await anyio.connect_tcp("127.0.0.1", listener.port))
                if len(crowded) > callback.CALLERS:
                    full.set()
                if len(crowded) > 8 * callback.CALLERS:  # there are only so many descriptors
                    await anyio.aclose_forcefully(crowded.popleft())

        for _ in range(3):
            tasks.start_soon(crowd)
        await full.wait()
        assert (await ask(listener, "/callback?code=abc&state=wrong"))[0] == 400
        assert (await ask(listener))[0] == 200
        tasks.cancel_scope.cancel()
        for stream in crowded:
            leaving.push_async_callback(anyio.aclose_forcefully, stream)


async def test_callers_who_wait_for_their_page_are_not_turned_away_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callback, "CALLERS", 2)
    owner = Owner()
    owner.may_answer = anyio.Event()
    async with listening(owner) as listener:
        waiting = [asyncio.ensure_future(ask(listener, f"/callback?code={n}&state=wrong")) for n in range(2)]
        await owner.asked.wait()
        await anyio.wait_all_tasks_blocked()
        assert (await ask(listener))[0] == 0
        owner.may_answer.set()
        assert [status for status, _, _ in await asyncio.gather(*waiting)] == [400, 400]
        assert (await ask(listener))[0] == 200


async def test_another_user_of_the_machine_cannot_bring_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it may have read the state in a list of processes (attack H6)."""
    asked: list[tuple[loopback.Address, loopback.Address]] = []

    def not_ours(here: loopback.Address, there: loopback.Address) -> bool:
        asked.append((here, there))
        return False

    owner = Owner()
    async with listening(owner) as listener:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(loopback, "is_ours", not_ours)
            assert (await ask(listener))[0] == 403
            assert (await ask(listener, address="::1"))[0] == 403
        assert not owner.heard
        assert [(here, there[0]) for here, there in asked] == [
            (("127.0.0.1", listener.port), "127.0.0.1"),
            (("::1", listener.port), "::1"),
        ]
        assert (await ask(listener))[0] == 200


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be two users")
async def test_a_process_of_another_user_is_refused_by_the_kernels_own_word() -> None:
    code = (
        "import sys, urllib.request, urllib.error\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
        "try: print(opener.open(sys.argv[1]).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    owner = Owner()
    async with listening(owner) as listener:
        url = f"http://127.0.0.1:{listener.port}{GOOD}"
        stranger = await asyncio.create_subprocess_exec(
            *("/usr/bin/env", "python3", "-I", "-c", code, url),
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
        )
        assert (await stranger.communicate())[0] == b"403\n"
        assert not owner.heard
        assert (await ask(listener))[0] == 200


async def test_idle_callers_do_not_keep_the_owner_from_leaving() -> None:
    owner = Owner()
    with anyio.fail_after(1):
        async with listening(owner) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            await anyio.wait_all_tasks_blocked()
    writer.close()
