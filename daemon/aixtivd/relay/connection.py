"""A connection to an API: one request at a time goes out, its head in one write with a small body, and is answered.

Nothing is added, nothing decoded, nothing sent twice. One timer for each looks after silence and idleness.
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from math import inf
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade
from msgspec import Struct

from aixtivd.host.deadline import Deadline
from aixtivd.relay.failure import UpstreamFailure
from aixtivd.relay.sent import HEAD, End, Sent, pour

SILENCE: Final = 600.0
"""Seconds without a byte. A message that is not streamed may take the ten minutes that the SDKs give it."""

IDLE: Final = 15.0
"""Seconds that a connection is kept for the next call: less than servers keep theirs (60 s and more)."""

_HIGH: Final = 128 * 1024
"""Bytes that nobody has read yet, above which no more is taken from the API: half of what one reading can bring."""


class Request(Struct, frozen=True):
    """What is sent. Its head holds a credential."""

    host: str
    head: bytes
    body: bytes | AsyncIterable[bytes]
    chunked: bool = False  # that body
    bodiless: bool = False  # no answer to it has a body
    lasting: bool = True  # another may follow it

    def __repr__(self) -> str:
        return f"Request({self.host})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("host", self.host)]


class Connection(asyncio.Protocol):
    """`kept` is called when it may carry another call, `lost` when it never will."""

    def __init__(self, kept: "Callable[[Connection], None]", lost: "Callable[[Connection], None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._kept = kept
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._sent: Sent | None = None  # whose answer is awaited, or is on its way
        self._lasting = True  # as far as what was sent on it goes
        self._heard = self._loop.time()  # when something came, or was sent; idle: since when
        self._deadline = Deadline(self._loop, self._due, self._overdue)
        self._reading = True
        self._full: asyncio.Future[None] | None = None  # the API does not take what is sent, until it does

    # ---- what the loop calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._deadline.check()

    def data_received(self, data: bytes) -> None:
        sent = self._sent
        if sent is None:  # unasked: it would be taken for the answer to the next call, and it may be another's
            self.abort()
            return
        self._heard = self._loop.time()
        sent.bare += len(data)
        try:
            sent.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):  # also what was raised in our own `on_…`
            self._lasting = False
            if not sent.over:
                self.fail(End.STRANGE)
                return
        if sent.over:
            self._finish(sent)
        elif sent.bare > HEAD:
            self.fail(End.STRANGE)
        else:
            if sent.held > _HIGH and self._reading and self._transport is not None:
                self._reading = False
                self._transport.pause_reading()
            sent.wake()

    def eof_received(self) -> None:
        """The API says no more, and so nothing that is still to be sent has an answer."""
        sent = self._sent
        if sent is not None and sent.until_closed and self._said_to_be_the_end():
            self._lasting = False
            self._finish(sent)
        else:
            self.fail(End.CUT)

    def connection_lost(self, _: Exception | None) -> None:
        self.fail(End.CUT)

    def pause_writing(self) -> None:
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)

    # ---- what the line calls ----

    @property
    def usable(self) -> bool:
        """It is open, and nothing has come where nothing was asked: the connection's end, as a rule, which the loop
        has not read yet. httpcore and urllib3 look in the same way before they use a connection again.
        """
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._loop.time() - self._heard < IDLE
            and not self._poll.poll(0)
        )

    async def send(self, request: Request) -> Sent:
        """Sends once, and returns with the answer's head. From here on the API may have got something.

        Raises UpstreamFailure.
        """
        if self._transport is None or self._transport.is_closing():
            raise UpstreamFailure(f"{request.host} cut the connection", maybe_sent=False)
        sent = self._sent = Sent(self, self._loop, request.host, bodiless=request.bodiless)
        # llhttp cannot be told that an answer to HEAD has no body: what follows on such a connection is not read.
        self._lasting = request.lasting and not request.bodiless
        self._heard = self._loop.time()
        self._deadline.check()
        try:
            if isinstance(request.body, bytes):
                self.write((request.head, request.body))
            else:
                self.write((request.head,))
                sent.sending = self._loop.create_task(pour(request.body, self, chunked=request.chunked))
            await sent.head()
        except BaseException:
            sent.close()
            raise
        return sent

    def abort(self) -> None:
        """At once: `close` would first send what is still buffered to a server that may never read it."""
        self._sent = None
        if self._transport is not None:
            self._transport.abort()
        self._leave()

    # ---- what its request calls ----

    def write(self, pieces: Iterable[bytes]) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(b"".join(pieces))

    async def room(self) -> None:
        """Returns when the API takes more. Raises ConnectionError where it never will."""
        self._heard = self._loop.time()
        if self._full is not None:
            await self._full
            self._heard = self._loop.time()

    async def not_counting(self, waiting: Awaitable[bytes | None]) -> bytes | None:
        """What the caller gives: the API is not silent meanwhile, it waits as well."""
        self._heard = inf
        try:
            return await waiting
        finally:
            self._heard = self._loop.time()
            if self._sent is not None:
                self._deadline.check()

    def read_on(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._heard = self._loop.time()
            self._deadline.check()
            self._transport.resume_reading()

    def fail(self, end: End, seconds: float = 0.0) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            sent.fail(end, seconds)
        self.abort()

    # ---- how it ends ----

    def _finish(self, sent: Sent) -> None:
        """An answer has come whole."""
        self._sent = None
        lasting = self._lasting and sent.lasting and (sent.sending is None or sent.sending.done())
        sent.finish()
        if not lasting or self._transport is None or self._transport.is_closing():
            self.abort()
            return
        self.read_on()
        self._heard = self._loop.time()
        self._deadline.check()
        self._kept(self)

    def _said_to_be_the_end(self) -> bool:
        """With TLS that takes its word for it: anybody on the way can end a connection (RFC 9112 §9.8)."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        try:
            return tls is None or not tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False

    def _leave(self) -> None:
        """Nobody waits for it any more, and it for nothing."""
        self._transport = None
        self._deadline.cancel()
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_exception(ConnectionResetError())
            full.exception()  # also where nobody waits for it
        self._lost(self)

    def _due(self) -> float:
        if not self._reading:
            return inf  # the caller takes nothing: that is not the API's silence
        return self._heard + (IDLE if self._sent is None else SILENCE)

    def _overdue(self) -> None:
        if self._sent is not None:
            self.fail(End.SILENT, SILENCE)
        else:
            self.abort()
