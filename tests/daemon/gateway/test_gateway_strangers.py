"""Other users of the machine, callers who only cost memory, and what is recorded of a crowd at the door."""

import contextlib
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.access.denials import AT_ONCE
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.incoming import LINES, LONGEST
from aixtivd.host import loopback
from peers.porch import Porch, Said, bearer, get, porch, post

QUICK = Bounds(parting=0.2)
NOBODY = 65534
linux = pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel says whose connection it is")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


# Other users


@linux
async def test_another_user_is_hung_up_on_before_a_byte_is_read_even_with_a_good_ticket(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with porch(folder, QUICK) as side:
        port = await side.gateway.open_port("t1")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(loopback, "asked", lambda *_: 54321)
            elsewhere.setattr(loopback, "is_ours", lambda *_: False)
            async with await side.caller(port) as wire:
                wire.say(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
                assert await wire.closed()
        ((caller, sentence),) = side.book.denied
        assert (caller.uid, sentence) == (54321, "another user of this machine came to a port: uid 54321")
        heard = await side.ask(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"), port)
        assert (heard.status, len(side.desk.calls)) == (200, 1)


@linux
@root
async def test_a_ticket_that_another_user_stole_opens_nothing_on_any_port(folder: Path) -> None:
    code = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "try: s.sendall(sys.stdin.buffer.read()); print(s.recv(99))\n"
        "except ConnectionError: print(b'')"
    )
    async with porch(folder, QUICK) as side:
        port = await side.gateway.open_port("t1")
        asked: partial[subprocess.CompletedProcess[bytes]] = partial(
            subprocess.run,
            ["/usr/bin/env", "python3", "-c", code, str(port)],
            input=get("/v1/models", bearer(), host=f"127.0.0.1:{port}"),
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            stdout=subprocess.PIPE,
            check=True,
        )
        told = await anyio.to_thread.run_sync(asked)  # uvloop starts nothing as another user
        assert told.stdout.strip() == b"b''"
        assert side.desk.calls == []
        assert [sentence for _, sentence in side.book.denied] == [
            f"another user of this machine came to a port: uid {NOBODY}"
        ]


# Callers who only cost memory


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def crowd(callers: ExitStack, path: Path, head: bytes) -> None:
    """Blocking: with no buffers in this process but the gateway's."""
    for _ in range(200):
        one = callers.enter_context(socket.socket(socket.AF_UNIX))
        one.connect(str(path))
        with contextlib.suppress(ConnectionError):
            one.sendall(head)


@linux
async def test_heads_that_never_end_cost_little_memory(folder: Path) -> None:
    """A megabyte each, of which all was held once, twice over."""
    head = get(host="localhost")[:-2] + b"".join(b"X-%d: %s\r\n" % (at, b"a" * 8000) for at in range(99))
    async with porch(folder) as side:
        await side.ask(get())  # loads all that it needs
        before = resident()
        with ExitStack() as callers:
            await anyio.to_thread.run_sync(crowd, callers, side.path, head)
            assert resident() - before < 10_000_000
        assert len(side.book.denied) == AT_ONCE


@pytest.mark.parametrize(
    "head",
    [
        get("/v1/models", *(f"x-{at}: y" for at in range(LINES))),
        get("/v1/models", *(f"x-{at}: {'y' * 8000}" for at in range(LONGEST // 8000 + 1))),
    ],
)
async def test_a_head_has_an_end_that_is_the_same_however_its_bytes_come(folder: Path, head: bytes) -> None:
    async with porch(folder, QUICK) as side:
        async with await side.caller() as wire:
            wire.say(head)
            heard = await wire.hear()
            assert heard.status in {0, 400}  # 0: it was cut while it came
        assert len(side.book.denied) == 1
        assert side.desk.calls == []


async def test_a_body_is_no_head_however_long_it_is_and_another_request_follows(folder: Path) -> None:
    async with porch(folder, QUICK) as side, await side.caller() as wire:
        for size in (LONGEST * 10, 0, LONGEST * 3):
            side.desk.said = Said()
            wire.say(post(b"x" * size))
            assert (await wire.hear()).status == 200
        assert [len(body) for body in side.desk.bodies] == [LONGEST * 10, 0, LONGEST * 3]


# What is recorded


async def knock(side: Porch, port: int, *headers: str) -> int:
    return (await side.ask(get("/v1/models", *headers, host=f"127.0.0.1:{port}"), port)).status


async def test_a_crowd_without_tickets_hides_no_misuse_of_a_good_one(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        port = await side.gateway.open_port("t1")
        for _ in range(AT_ONCE + 5):
            assert await knock(side, port, "Sec-Fetch-Site: cross-site") == 403
            assert await knock(side, port) == 401
            assert await knock(side, port, bearer("aixtiv-ticket-guess")) == 401
        assert await knock(side, port, bearer(), "x-aixtiv-account: github") == 403
        assert [(caller.ticket, sentence) for caller, sentence in side.book.denied][-1] == (
            "t1",
            "this ticket is for another account",
        )
        assert len(side.book.denied) == 3 * AT_ONCE + 1


async def test_what_was_not_recorded_is_told_when_it_ends(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        port = await side.gateway.open_port("t1")
        for _ in range(AT_ONCE + 5):
            await knock(side, port)
    assert side.book.denied[-1][1] == "a ticket is needed here; 4 more before it were not recorded"
    assert len(side.book.denied) == AT_ONCE + 1


async def test_who_finds_no_place_is_recorded(folder: Path) -> None:
    async with porch(folder, Bounds(connections=1)) as side:
        side.desk.said = Said(headers=(), steps=(b"x", anyio.sleep_forever))
        async with await side.caller() as first:
            first.say(get())
            assert (await first.hear_head()).status == 200
            async with await side.caller() as second:
                assert await second.closed()
            assert [sentence for _, sentence in side.book.denied] == ["all 1 connections are busy"]
