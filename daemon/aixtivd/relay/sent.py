"""One request that was sent, and its answer as it comes: heads and framing by llhttp, which is strict; bodies as bytes.

llhttp refuses what two readers could read in two ways: two lengths, a length beside a transfer coding, lines that go on
or end oddly. What it lets through and no caller could read is refused here.
"""

import asyncio
from collections.abc import AsyncIterable
from enum import Enum
from typing import TYPE_CHECKING, Final

from httptools import HttpResponseParser

from aixtivd.relay.failure import UpstreamFailure

if TYPE_CHECKING:
    from aixtivd.relay.connection import Connection

HEAD: Final = 64 * 1024
"""Bytes of an answer's head, with the ones before it (1xx): what a caller's head may have, too."""

_LINES: Final = 512
"""Of it, far above what real ones have."""

_BODILESS: Final = frozenset({204, 304})  # and every answer to HEAD (RFC 9112 §6.3)


class End(Enum):
    """How an answer ends that does not end well: before its head, and in the middle."""

    CUT = ("cut the connection", "cut the connection")
    SILENT = ("does not answer: nothing has come for {:g} seconds", "sent nothing for {:g} seconds")
    STRANGE = ("answered with something that is not HTTP", "went on with something that is not HTTP")


class Strange(Exception):
    """That is HTTP, and none that a caller could be handed."""


class Sent:
    """What is read of it, is read once; `close` ends it, wherever it is.

    The connection feeds it, by way of the parser (`on_…`). Once the answer has come whole, the connection is another's.
    """

    def __init__(self, connection: "Connection", loop: asyncio.AbstractEventLoop, host: str, *, bodiless: bool) -> None:
        """`bodiless`: no answer to such a request has a body."""
        self.status = 0
        self.reason = ""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.received = 0
        self.whole = False  # known when it is closed: all of it was read
        self.host = host
        self.parser = HttpResponseParser(self)
        self.begun = False  # its head is there
        self.over = False  # all of it is
        self.lasting = False  # the connection may carry another call after it
        self.until_closed = False  # the end of the connection is its end (RFC 9112 §6.3)
        self.held = 0  # bytes that nobody has read yet
        self.bare = 0  # bytes since the last one of a body: none of heads, chunks' and trailers goes on for ever
        self.sending: asyncio.Task[None] | None = None  # what is left of the request's body
        self._loop = loop
        self._bodiless = bodiless
        self._connection: Connection | None = connection
        self._head = 0  # bytes
        self._pieces: list[bytes] = []
        self._failure: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    # ---- what the parser calls ----

    def on_message_begin(self) -> None:
        if self.over:
            raise Strange  # said unasked: whatever it is, it is no answer to the next call

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode(errors="replace")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.begun:
            return  # a trailer: dropped, as RFC 9110 §6.5.1 has it for who does not know it
        self._head += len(name) + len(value)
        if self._head > HEAD or len(self.raw_headers) >= _LINES:
            raise Strange
        self.raw_headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status == 101 or not 100 <= status <= 599:  # an upgrade is one that nobody asked for
            raise Strange
        if status < 200:
            return
        self.status = status
        coded = chunked = sized = False
        for name, value in self.raw_headers:
            low = name.lower()
            if low == b"transfer-encoding":
                coded, chunked = True, not coded and value.lower() == b"chunked"
            elif low == b"content-length":
                sized = True
        if coded and not chunked:
            raise Strange  # nobody undoes any other on the way to the caller
        bodiless = self._bodiless or status in _BODILESS
        self.until_closed = not (bodiless or coded or sized)
        self.lasting = self.parser.should_keep_alive()
        self.begun = True
        self.over = self._bodiless

    def on_body(self, piece: bytes) -> None:
        if self.over:
            raise Strange
        self.bare = 0
        self._pieces.append(piece)
        self.held += len(piece)

    def on_message_complete(self) -> None:
        if self.begun:
            self.over = True
        else:  # 1xx: it does not count, but in bytes
            self._head += 20
            if self._head > HEAD:
                raise Strange
            self.reason = ""
            self.raw_headers.clear()

    # ---- what the connection calls ----

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def finish(self) -> None:
        """All of it has come."""
        self.over = True
        self._connection = None
        if self.sending is not None:
            self.sending.cancel()
        self.wake()

    def fail(self, end: End, seconds: float = 0.0) -> None:
        """No more of it will come."""
        before, amid = end.value
        if self.begun:
            sentence = f"{self.host} {amid.format(seconds)} in the middle of its answer"
        else:
            sentence = f"{self.host} {before.format(seconds)}, and the call may have run"
        self._failure = self._failure or UpstreamFailure(sentence, maybe_sent=True)
        self._connection = None
        if self.sending is not None:
            self.sending.cancel()
        self.wake()

    # ---- what its reader calls ----

    async def head(self) -> None:
        """Returns when its head is there. Raises UpstreamFailure."""
        while not self.begun:
            if self._failure is not None:
                raise self._failure
            await self._more()

    def __aiter__(self) -> "Sent":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self.over:
                raise StopAsyncIteration
            await self._more()
        pieces = self._pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held = 0
        self.received += len(piece)
        if self._connection is not None:
            self._connection.read_on()
        return piece

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.whole = self.over and self._failure is None and not self._pieces
        connection = self._connection
        if not self.over:
            self.fail(End.CUT)
        if connection is not None:  # else it may carry another call by now
            connection.abort()

    def forget(self) -> None:
        """Ends it. Reading on raises, also what had come."""
        self.close()
        self._pieces.clear()
        self.fail(End.CUT)

    async def put_away(self) -> None:
        """Ends it, and returns when nobody sends its request's body any more."""
        self.close()
        if self.sending is not None:
            await asyncio.wait([self.sending])

    async def _more(self) -> None:
        """Returns when more has come, or nothing more will."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


async def pour(body: AsyncIterable[bytes], connection: "Connection", *, chunked: bool) -> None:
    """Sends the rest of a request, for as long as the API takes it. Who fails here is the caller, and knows why."""
    pieces = aiter(body)
    try:
        while (piece := await connection.not_counting(anext(pieces, None))) is not None:
            if piece:  # as a chunk, an empty one would be the last
                connection.write((b"%x\r\n" % len(piece), piece, b"\r\n") if chunked else (piece,))
                await connection.room()
        if chunked:
            connection.write((b"0\r\n\r\n",))
    except ConnectionError:
        pass
    except Exception:  # noqa: BLE001  # whatever the caller's side of it is made of: it keeps the reason
        connection.fail(End.CUT)
