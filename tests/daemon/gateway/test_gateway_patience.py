"""What waits here for a caller has a bound, and whoever is turned away in the middle still hears why."""

import asyncio
import contextlib
import errno
import socket
import subprocess
import sys
from math import inf
from pathlib import Path

import anyio
import pytest

from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.visitor import Visitor
from peers.porch import PATIENCE, Porch, Said, bearer, get, porch, post
from peers.waiting import until


def visitor(side: Porch) -> Visitor:
    (only,) = side.gateway._visitors
    return only


async def test_requests_that_wait_are_read_no_further_than_a_few(folder: Path) -> None:
    """They would be objects, of ten times their bytes; the rest waits in the caller's socket."""
    async with porch(folder) as side, await side.caller() as wire:
        go = anyio.Event()
        side.desk.said = Said(headers=(), steps=(go.wait, b"x"))
        number = 40_000
        wire.say(get() * number)
        await side.desk.begun.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(visitor(side)._queue) <= 16 * 1024 // len(get()) + 1
        assert len(visitor(side)._rest) <= 512 * 1024
        assert wire.writer.transport.get_write_buffer_size() > 0
        go.set()
        side.desk.said = Said(204, "x", (), ())
        assert (await wire.hear()).body == b"x"
        for _ in range(500):
            assert (await wire.hear()).status == 204


@pytest.mark.parametrize(
    "junk", [b"x" * 3_000_000, b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n" + b"y" * 3_000_000]
)
async def test_whoever_is_turned_away_while_it_still_speaks_hears_why(folder: Path, junk: bytes) -> None:
    """A connection that is closed with bytes unread in it is reset, and the answer lost that was under way."""
    async with porch(folder, Bounds(parting=5)) as side:
        port = await side.gateway.open_port("t1")
        with socket.create_connection(("127.0.0.1", port)) as caller:
            heard = await anyio.to_thread.run_sync(all_said, caller, junk)
        assert heard.startswith(b"HTTP/1.1 400 ")
        assert heard.endswith(b"}")
    assert side.desk.calls == []


def all_said(caller: socket.socket, data: bytes) -> bytes:
    """Listens only when it has said everything."""
    caller.settimeout(PATIENCE)
    caller.sendall(data)
    return b"".join(iter(lambda: caller.recv(65536), b""))


async def test_a_caller_who_left_while_it_was_turned_away_is_no_defect(folder: Path) -> None:
    """What says so differs: asyncio's own loop raises, uvloop tells the Protocol a moment later."""
    async with porch(folder) as side, await side.caller() as wire:
        wire.say(get())
        assert (await wire.hear()).status == 200

        class Left(Segments):
            aborted = False

            def write_eof(self) -> None:
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

            def abort(self) -> None:
                self.aborted = True

        here, left = visitor(side), Left()
        here._transport, real = left, here._transport
        here.data_received(b"junk\r\n\r\n")
        assert left.aborted
        here._transport = real
        here.cut()


async def test_who_never_stops_speaking_is_hung_up_on_all_the_same(folder: Path) -> None:
    async with porch(folder, Bounds(parting=0.3)) as side, await side.caller() as wire:
        wire.say(b"junk\r\n\r\n")
        assert (await wire.hear()).status == 400
        with contextlib.suppress(ConnectionError), anyio.fail_after(5):
            while True:
                wire.say(b"x")
                await wire.writer.drain()
                await asyncio.sleep(0.01)


async def test_a_caller_who_leaves_before_its_call_has_begun_leaves_nothing(folder: Path) -> None:
    async with porch(folder) as side:
        await side.ask(get())
        wire = await side.caller()
        before = side.gateway.begun
        async with asyncio.timeout(PATIENCE):
            while side.gateway.begun == before and not side.gateway._visitors:  # noqa: ASYNC110  # nobody says so
                await asyncio.sleep(0)
        newest = list(side.gateway._visitors)[-1]
        newest.data_received(get())
        newest.connection_lost(None)  # in the same turn of the loop
        async with asyncio.timeout(PATIENCE):
            assert side.gateway._server is not None
            await side.gateway._server.exchanges.over()
        assert len(side.desk.calls) == 1
        wire.writer.close()


async def test_a_caller_who_takes_its_answer_slowly_gets_all_of_it(folder: Path) -> None:
    async with porch(folder) as side:
        side.desk.said = Said(headers=(("content-length", "4000000"),), steps=(b"x" * 4_000_000,))
        taken = 0
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(side.path))
            slow.sendall(get())
            slow.settimeout(PATIENCE)
            while taken < 4_000_000:
                piece = await anyio.to_thread.run_sync(slow.recv, 300_000)
                assert piece, "it was cut off"
                taken += len(piece)
                here = visitor(side)._patience
                if here is not None and here._unread_at < inf:  # it is waited for: as if no more than that were left
                    here._unread_at = 0.0
                    here._overdue()


async def test_half_a_head_behind_a_call_has_to_become_whole_in_time(folder: Path) -> None:
    async with porch(folder, Bounds(head=0.2, idle=30)) as side, await side.caller() as wire:
        go = anyio.Event()
        side.desk.said = Said(headers=(), steps=(go.wait, b"x"))
        wire.say(get())
        await side.desk.begun.wait()
        wire.say(b"GET /v1/mod")
        while not visitor(side)._parser.size:  # noqa: ASYNC110  # nobody says so
            await asyncio.sleep(0)
        go.set()
        assert (await wire.hear()).body == b"x"
        with anyio.fail_after(5):
            assert await wire.closed()


async def test_also_where_it_came_in_one_reading_with_that_call(folder: Path) -> None:
    async with porch(folder, Bounds(head=0.2, idle=30)) as side, await side.caller() as wire:
        wire.say(get() + b"GET /v1/mod")
        assert (await wire.hear()).status == 200
        with anyio.fail_after(5):
            assert await wire.closed()


async def test_who_says_no_more_gets_its_answers_all_the_same_and_may_still_hang_up(folder: Path) -> None:
    """As `nc -N` and `socat` do. Whoever closes both ways is gone: its call ends."""
    async with porch(folder, Bounds(look=0.01)) as side:
        go = anyio.Event()
        side.desk.said = Said(headers=(), steps=(go.wait, b"x"))
        async with await side.caller() as wire:
            wire.say(get() + get())  # while the second waits nothing is read, not even that there is no more
            wire.writer.write_eof()
            await side.desk.begun.wait()
            go.set()
            assert [(await wire.hear()).body for _ in range(2)] == [b"x", b"x"]
            assert await wire.closed()
        side.desk.begun, side.desk.said = anyio.Event(), Said(headers=(), steps=(anyio.sleep_forever,))
        wire = await side.caller()
        wire.say(get())
        wire.writer.write_eof()
        await side.desk.begun.wait()
        await asyncio.to_thread(until, lambda: visitor(side)._said_all or None, "its half-close is heard")
        side.desk.ended = anyio.Event()
        wire.writer.close()
        with anyio.fail_after(PATIENCE):
            await side.desk.ended.wait()
        assert side.desk.cancelled == 1


async def test_on_a_port_a_half_close_is_a_hang_up(folder: Path) -> None:
    async with porch(folder) as side:
        port = await side.gateway.open_port("t1")
        side.desk.said = Said(headers=(), steps=(anyio.sleep_forever,))
        async with await side.caller(port) as wire:
            wire.say(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
            await side.desk.begun.wait()
            wire.writer.write_eof()
            with anyio.fail_after(PATIENCE):
                await side.desk.ended.wait()


async def test_a_defect_where_the_next_request_begins_hangs_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with porch(folder) as side, await side.caller() as wire:
        monkeypatch.setattr(Visitor, "end", broken)
        wire.say(get())
        await side.desk.ended.wait()
        with anyio.fail_after(PATIENCE):
            while side.gateway.open:  # noqa: ASYNC110  # nobody says so
                await asyncio.sleep(0)


async def test_an_answer_whose_head_cannot_be_written_is_a_refusal_and_not_a_bare_close(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = Said(reason="OK\r\nX: y")
        wire.say(get())
        heard = await wire.hear()
        assert (heard.status, heard.error[1]) == (503, "the answer's head is broken")
        assert wire.reader.at_eof() is False


async def test_a_chunked_body_may_be_waited_for_too(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        wire.say(get("/v1/messages", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"))
        assert (await wire.hear()).status == 100
        wire.say(b"3\r\nabc\r\n0\r\n\r\n")
        assert (await wire.hear()).status == 200
        assert side.desk.bodies == [b"abc"]


async def test_a_call_that_is_over_does_not_keep_what_its_caller_had_sent(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = Said(reads=False)
        wire.say(post(b"x" * 1000))
        assert (await wire.hear()).status == 200
        assert visitor(side)._current is None


def test_the_gateway_never_loads_aiohttp_and_its_parser_with_the_first_caller() -> None:
    script = (
        "import sys; import aixtivd.gateway.gateway; assert 'httptools' not in sys.modules; "
        "import aixtivd.gateway.server; assert 'httptools' in sys.modules; assert 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


class Segments(asyncio.Transport):
    """What is written, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...


@pytest.mark.parametrize("length", [(("content-length", "2"),), ()])
async def test_an_answer_that_is_there_at_once_leaves_with_its_head(
    folder: Path, length: tuple[tuple[str, str], ...]
) -> None:
    """A caller wakes once for it. (`test_each_piece_of_a_stream_arrives_at_once`: nothing waits for what is not.)"""
    async with porch(folder) as side, await side.caller() as wire:
        wire.say(get())
        assert (await wire.hear()).status == 200
        here, segments = visitor(side), Segments()
        here._transport = segments
        side.desk.said = Said(headers=length)
        here.data_received(get())
        assert here.task is not None
        await here.task
        here.connection_lost(None)
        assert segments.written[0].endswith(b"\r\n\r\n" + (b"{}" if length else b"2\r\n{}\r\n"))
        assert len(segments.written) == (1 if length else 2)
        side.gateway._visitors[here] = None  # it leaves a second time, when its real connection does


async def test_a_port_and_a_ticket_serve_call_after_call_on_one_connection(folder: Path) -> None:
    async with porch(folder) as side:
        port = await side.gateway.open_port("t1")
        async with await side.caller(port) as wire:
            for _ in range(3):
                wire.say(post(b"{}", bearer(), host=f"127.0.0.1:{port}"))
                assert (await wire.hear()).status == 200
            assert visitor(side).ticket == ""
