"""All that may knock at the loopback listener and must neither get in nor use it up."""

import asyncio

import anyio
import pytest

from aixtivd.oauth import callback
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
