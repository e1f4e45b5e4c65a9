"""What an API says unasked is nobody's answer, and what one caller's call leaves behind never reaches another's."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from aixtivd.relay.call import Call
from peers.canned import raw
from peers.relaying import CALLER, Around, Pieces, called, hello, key, relaying, token
from peers.waiting import until

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"


def answer(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def _none_is_kept(around: Around) -> bool:
    line: Any = around.relay._upstream._line
    return not line._idle


@pytest.mark.parametrize("cut", [1, 17, 30, len(EVIL)])
async def test_an_answer_that_comes_unasked_is_not_taken_for_the_next_calls(cut: int) -> None:
    """The loop has read it long before; the rest of it comes when the next call asks."""
    read = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"honest"))
        await read.wait()
        writer.write(EVIL[:cut])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVIL[cut:])
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        assert (await around.get(called())).body == b"honest"
        read.set()
        await asyncio.to_thread(until, lambda: _none_is_kept(around), "it has come")
        assert (await around.get(called())).body == b"honest"


@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize(
    ("method", "kept"), [("GET", 0), ("HEAD", 0), ("DELETE", 0), ("OPTIONS", 0), ("POST", 1), ("PUT", 1), ("PATCH", 1)]
)
async def test_behind_a_body_that_a_server_may_not_read_comes_no_next_call(
    method: str, kept: int, length: int | None
) -> None:
    """A server that ignores it reads a request there, and its answer would be the next call's."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            if not number:
                await reader.readuntil(b"abc" if length else b"0\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        await reader.read()

    connections: list[int] = []

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(seen))
        if len(connections) == 1:
            await talk(reader, writer)
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await reader.read()

    async with raw(counted) as port, relaying(f"http://127.0.0.1:{port}") as around:
        await around.get(called(method, body=Pieces(b"abc", length=length)))
        await around.get(called())
    assert len(connections) == 2 - kept


@pytest.mark.parametrize(
    "other",
    [
        (called(account="anthropic/other"), token(account="anthropic/other")),
        (called(), key()),
        (called(caller=structs.replace(CALLER, ticket="t1")), token()),
    ],
)
async def test_another_account_kind_of_credential_or_ticket_has_connections_of_its_own(other: tuple[Call, Any]) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"ok"))

    call, credential = other
    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}", token(1), token(2), credential) as around:
        await around.get(called())
        await around.get(called())  # its token was refreshed meanwhile: that is no reason
        assert connections == 1
        await around.get(call)
        assert connections == 2


async def test_a_body_that_was_announced_and_is_not_wanted_leaves_no_connection_to_the_next_call() -> None:
    """Answered whole before the body had come: what follows of it must not stand before another's request."""
    gate = asyncio.Event()
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b"early"))
        await reader.read()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        assert (await around.get(hello(body=Pieces(b"x" * 100_000, gate, length=200_000)))).body == b"early"
        assert (await around.get(called())).body == b"early"
    assert len(heads) == 2
