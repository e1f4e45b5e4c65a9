"""Answers that two readers could read in two ways, or that never end: none of them reaches a caller as a whole one."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from math import inf

import pytest

from aixtivd.relay import connection
from aixtivd.relay.failure import UpstreamFailure
from peers.canned import raw
from peers.relaying import VERSION, Pieces, called, hello, relaying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        b"Content-Length: 2\r\nContent-Length: 2",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: +2",
        b"Content-Length: 2, 2",
        b"Content-Length: 0x2",
        b"Content-Length: 99999999999999999999",
        b"Content-Length:",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:",
        b"X: y\r\n z\r\nContent-Length: 2",
        b"X: y\nContent-Length: 2",
        b"X: y\rz\r\nContent-Length: 2",
        b"X: y\0z\r\nContent-Length: 2",
        b"X : y\r\nContent-Length: 2",
        b" X: y\r\nContent-Length: 2",
        b"X\r\nContent-Length: 2",
        b"Content-Length: 2\nX: y",
    ],
)
@pytest.mark.parametrize("byte_by_byte", [False, True])
async def test_a_head_that_two_could_read_in_two_ways_is_no_answer(head: bytes, byte_by_byte: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nok"
        for at in range(len(answer)) if byte_by_byte else [None]:
            writer.write(answer if at is None else answer[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0)

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        with pytest.raises(UpstreamFailure, match="not HTTP, and the call may have run"):
            await around.get(hello())


@pytest.mark.parametrize(
    "rest",
    [
        b"2;" + b"x" * 300_000,
        b"0\r\n" + b"X: y\r\n" * 100_000,
        b"0\r\nX: " + b"y" * 300_000,
        b"2\r\nok\r\n0\r\n" + b"X: y\r\n" * 100_000,
        b"-2\r\nok\r\n0\r\n\r\n",
        b"0x2\r\nok\r\n0\r\n\r\n",
        b"2 \r\nok\r\n0\r\n\r\n",
        b"2\nok\r\n0\r\n\r\n",
        b"2\r\nok0\r\n\r\n",
        b"fffffffffffffffff\r\nok",
    ],
)
async def test_chunks_that_are_none_or_never_end_are_a_broken_answer(rest: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(CHUNKED + rest)
        await writer.drain()
        await reader.read()  # it keeps the connection open: only the bytes themselves tell

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        with pytest.raises(UpstreamFailure, match="in the middle of its answer"):
            await around.get(hello())
        assert around.ledger.last["ok"] is False


async def test_trailers_and_chunk_extensions_end_here_and_the_connection_goes_on() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"}]}")
            writer.write(CHUNKED + b"2;a=b\r\nok\r\n0\r\nX-Checksum: 1\r\nSet-Cookie: a=b\r\n\r\n")

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        for _ in range(3):
            answer = await around.get(hello())
            assert (answer.body, answer.headers) == (b"ok", ())
    assert connections == 1


@pytest.mark.parametrize("behind", [b"", b"EVIL", OK, b"\r\n\r\n"])
async def test_what_follows_an_answer_to_head_is_nobodys(behind: bytes) -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK if heads[-1].startswith(b"GET") else OK[:-2] + behind)
        await reader.read()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        answer = await around.get(called("HEAD"))
        assert (answer.body, answer.headers) == (b"", (("Content-Length", "2"),))
        assert around.ledger.last["ok"]
        assert (await around.get(called("GET"))).body == b"ok"


async def test_an_answer_that_ends_with_its_connection_is_whole_and_one_that_is_reset_is_not() -> None:
    reading = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nas much as there is")
        await writer.drain()
        if b"x-reset" in head:
            await reading.wait()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        assert (await around.get(called())).body == b"as much as there is"
        assert around.ledger.last["ok"]

        async def read() -> None:
            async with around.relay.call(called("GET", "/v1/models", ("x-reset", "1"))) as answer:
                assert await anext(answer.pieces) == b"as much as there is"
                reading.set()
                await anext(answer.pieces)

        with pytest.raises(UpstreamFailure, match="cut the connection in the middle of its answer"):
            await read()


async def test_a_caller_that_gives_its_body_slowly_is_not_taken_for_a_silent_api() -> None:
    due: list[float] = []  # of the connection, while the caller is waited for

    class Slow(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for number in range(3):
                if number:  # it is asked for the first before a connection is opened
                    await asyncio.sleep(0)
                    line = around.relay._upstream._line
                    assert line is not None
                    due.extend(one._due() for one in line._open)
                yield b"x"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        answer = await around.get(called("POST", "/v1/files", VERSION, body=Slow(length=None)))
        assert answer.body == b"ok"
    assert due == [inf, inf]


async def test_an_api_that_takes_nothing_more_of_a_body_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "SILENCE", 0.2)

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    body = Pieces(*[b"x" * 1_000_000] * 20)
    async with raw(talk, limit=2**16) as port, relaying(f"http://127.0.0.1:{port}") as around:
        with pytest.raises(UpstreamFailure, match=r"nothing has come for 0.2 seconds, and the call may have run"):
            await around.get(called("POST", "/v1/files", VERSION, body=body))
        assert body.taken < 20
