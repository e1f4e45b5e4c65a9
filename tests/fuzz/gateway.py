"""The gateway's door: whole conversations through llhttp, our Protocol around it, and our reading of its heads.

What a caller got relayed is held against a reading of our own of the same bytes, so that nothing two servers could
read in two ways gets through.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, cast

import uvloop

from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials
from aixtivd.access.tickets import Held, Tickets
from aixtivd.errors import Denied, Refused
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.exchange import Exchanges
from aixtivd.gateway.visitor import Place, Visitor
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.relay import Relay
from fuzz.target import Target

_PORT: Final = 4711
_TICKET: Final = b"aixtiv-ticket-good"
_HELD: Final = Held(id="1", account="a", verbs=("relay",))
_CALLER: Final = Caller(uid=1, pid=1)

Got = tuple[bytes, bytes, bytes | None]
"""Method, target, and the body where all of it came."""


class _Relay:
    """Takes the body of each call, and answers or refuses."""

    def __init__(self) -> None:
        self.got: list[Got] = []

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Answer]:
        at = len(self.got)
        self.got.append((call.method.encode(), call.path.encode(), None))
        body = b"".join([piece async for piece in call.body])
        self.got[at] = (call.method.encode(), call.path.encode(), body)
        if b"refuse" in body:
            raise Refused("no")
        yield Answer(status=200, reason="OK", headers=(), pieces=_pieces(), account="a", kind="oauth")


async def _pieces() -> AsyncIterator[bytes]:
    yield b"{}"


class _Tickets:
    def check(self, ticket: Secret, verb: str) -> Held:
        if ticket.reveal().encode() != _TICKET:
            raise Denied("that is no ticket of this daemon's")
        return _HELD


class _Denials:
    def note(self, *_: object, **__: object) -> None: ...


class _Host:
    def unreadable(self, visitor: Visitor) -> None: ...

    def left(self, visitor: Visitor) -> None: ...


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def write_eof(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def conversation(data: bytes) -> None:
    """First byte: by which door, and in how many pieces."""
    first = data[0] if data else 0
    port, pieces = _PORT if first & 1 else 0, 1 + (first >> 1) % 8
    _loop().run_until_complete(_converse(data[1:], port, 1 + len(data) // pieces))


async def _converse(data: bytes, port: int, size: int) -> None:
    relay = _Relay()
    exchanges = Exchanges(cast("Relay", relay), cast("Tickets", _Tickets()), cast("Denials", _Denials()))
    visitor, transport = Visitor(exchanges, Place(_CALLER, port), Bounds(), _Host()), _Transport()
    visitor.connection_made(transport)
    for at in range(0, len(data), size):
        if transport.closed:
            break
        visitor.data_received(data[at : at + size])
        await asyncio.sleep(0)
    for _ in range(12 if relay.got or transport.written else 3):
        await asyncio.sleep(0)
    visitor.connection_lost(None)
    for _ in range(4):
        await asyncio.sleep(0)
    assert exchanges.open == 0
    assert b"defect in aixtiv" not in transport.written
    assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")
    _compare(relay.got, list(_as_plainly_read(data)))


def _compare(got: list[Got], said: list[Got]) -> None:
    """Each call is one that the bytes say, in their order; a body that is not there whole was not taken for whole."""
    assert len(got) <= len(said), (got, said)
    for ours, theirs in zip(got, said, strict=False):
        assert ours[:2] == theirs[:2], (ours, theirs)
        assert ours[2] is None or ours[2] == theirs[2], (ours, theirs)


_FIRST: Final = re.compile(rb"([A-Z]+) +([!-~]+) +HTTP/1\.1")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]+)(?:;[\t\x20-\x7e\x80-\xff]*)?")


def _as_plainly_read(data: bytes) -> Any:
    """The requests in it as RFC 9112 writes them, up to the first thing that is not plain."""
    while (end := (data := data.lstrip(b"\r\n")).find(b"\r\n\r\n")) >= 0:  # empty lines before it: §2.2
        first, *fields = data[:end].split(b"\r\n")
        line, found = _FIRST.fullmatch(first), [_FIELD.fullmatch(field) for field in fields]
        if not line or not all(found):
            return
        known = [(field[1].lower(), field[2]) for field in found if field]
        body, rest = _body(known, data[end + 4 :])
        yield line[1], line[2], body
        if rest is None:
            return
        data = rest


def _body(fields: list[tuple[bytes, bytes]], data: bytes) -> tuple[bytes | None, bytes | None]:
    """The body, and what follows it; None where it is not whole, or not plain."""
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if codings:
        return _chunked(data) if not lengths and [one.lower() for one in codings] == [b"chunked"] else (None, None)
    if not lengths:
        return b"", data
    size = int(lengths[0]) if re.fullmatch(rb"[0-9]{1,15}", lengths[0]) and len(lengths) == 1 else -1
    return (data[:size], data[size:]) if 0 <= size <= len(data) else (None, None)


def _chunked(data: bytes) -> tuple[bytes | None, bytes | None]:
    body = b""
    while True:
        line, found, data = data.partition(b"\r\n")
        size = _SIZE.fullmatch(line)
        if not found or not size:
            return None, None
        if not (length := int(size[1], 16)):
            return body, _behind_trailers(data)
        if len(data) < length + 2 or data[length : length + 2] != b"\r\n":
            return None, None
        body, data = body + data[:length], data[length + 2 :]


def _behind_trailers(data: bytes) -> bytes | None:
    if data.startswith(b"\r\n"):
        return data[2:]
    end = data.find(b"\r\n\r\n")
    plain = end >= 0 and all(map(_FIELD.fullmatch, data[:end].split(b"\r\n")))
    return data[end + 4 :] if plain else None


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


def _seeds() -> list[bytes]:
    ticket = b"Authorization: Bearer " + _TICKET + b"\r\n"
    host = b"Host: 127.0.0.1:4711\r\n"
    plain = b"POST /v1/messages?beta=true HTTP/1.1\r\n" + host + ticket
    sized = plain + b"Content-Length: 5\r\n\r\nhello"
    chunked = plain + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    got = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Aixtiv-Account: a\r\n\r\n"
    waits = plain + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    return [b"\1" + sized * 2, b"\3" + chunked + sized, b"\4" + got * 3, b"\7" + waits, b"\1" + chunked + got]


_WORDS: Final = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\t", b" ", b":", b"\0", b"\x0b", b"Content-Length: 0\r\n", b"refuse"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Length: +5\r\n"),
    *(b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"Origin: null\r\n", b"Upgrade: websocket\r\n", b"Connection: close\r\n"),
    *(b"Connection: upgrade\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://x/ HTTP/1.1\r\n", b"*", b"#"),
    *(
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b" folded\r\n",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    *(
        b"ffffffffffffffff\r\n",
        b"Content-Encoding: gzip\r\n",
        b"\xff",
        b"X-Api-Key: k\r\n",
        b"%zz",
        b"//",
        b"Host:\r\n",
    ),
)

TARGETS: Final = (Target("gateway", conversation, _seeds, longest=1500, words=_WORDS),)
