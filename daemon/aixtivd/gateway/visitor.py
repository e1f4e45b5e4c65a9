"""One connection of the gateway: its requests one at a time, within bounds and deadlines.

A Protocol class, since objects for bytes that nobody reads cost ten times as much (performance.md).
"""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from aixtivd.access.caller import Caller
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.outgoing import refusal_in
from aixtivd.gateway.parser import Parser, Request
from aixtivd.gateway.patience import Patience
from aixtivd.gateway.refusals import UNREADABLE

_SLICE: Final = 16 * 1024
"""Bytes that are parsed at once. So many can become hundreds of requests, which then wait as objects."""


class Place:
    """Where a connection came in, as its requests have to know."""

    __slots__ = ("caller", "port", "ticket")

    def __init__(self, caller: Caller, port: int = 0, ticket: str = "") -> None:
        self.caller = caller
        self.port = port  # 0: the Unix socket
        self.ticket = ticket  # id of the only one that is served there; empty: any


class Host(Protocol):
    def unreadable(self, visitor: "Visitor") -> None:
        """It said what no parser can read."""

    def left(self, visitor: "Visitor") -> None:
        """Called once, when the connection is gone."""


class Server(Protocol):
    def begin(self, visitor: "Visitor", request: Request) -> None:
        """Answers it, now or in a task of the visitor's, and then calls `end`."""


class Visitor(asyncio.Protocol):
    def __init__(self, server: Server, place: Place, bounds: Bounds, host: Host) -> None:
        self.place = place
        self.busy = False  # with a request
        self.admitted = False  # some request of it was let in
        self.ticket = ""  # id of the one that the current request shows
        self.task: asyncio.Task[None] | None = None  # that answers the current request
        self.full = False  # it takes less than it is sent
        self.finishing = False  # the daemon is: what is answered now is the last
        self._server = server
        self._bounds = bounds
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None  # None: it is gone, or was never there
        self._parser = Parser(self._take)
        self._queue: deque[Request] = deque()  # behind the current one
        self._current: Request | None = None
        self._rest = b""  # what has come and is not parsed yet, …
        self._at = 0  # … from here on
        self._held = b""  # written in a moment
        self._reading = True
        self._said_all = False  # it sends no more, and takes what it has asked for
        self._parting = False  # nothing more is answered, and what comes is thrown away
        self._room: asyncio.Future[None] | None = None
        self._patience: Patience | None = None  # while there is a transport

    # What whoever serves a request calls

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        if self._held:
            data, self._held = self._held + data, b""
        self._transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """With what else is written in this turn of the loop: a caller that wakes once costs less than one that wakes
        twice.
        """
        self._held += data
        self._loop.call_soon(self._flush)

    async def room(self) -> None:
        if self.full:
            self._room = self._loop.create_future()
            await self._room

    def read_on(self) -> None:
        """Parses what the bounds allow; the rest waits here, and in the caller's socket."""
        while self._at < len(self._rest) and not self._holds_enough():
            self._parse()
        self._read(wanted=not self._holds_enough())

    def body_awaited(self, *, wanted: bool) -> None:
        if self._patience is not None:
            self._patience.for_body(wanted=wanted)

    def end(self, *, keep: bool) -> None:
        """The answer is written. `keep`: another request may follow."""
        request, self._current = self._current, None
        self.busy, self.task, self.ticket = False, None, ""
        if self._transport is None or self._transport.is_closing():
            return
        self._flush()
        if self.finishing or not keep:
            self._part(whole=request is None or request.upload.whole)
            return
        self._within(self._bounds.head if self._parser.size else self._bounds.idle)
        self._next()
        self.read_on()
        if self._said_all and not self.busy:
            self._part(whole=True)

    def break_off(self) -> None:
        """What came before goes out; no last chunk, or too few bytes, tell the caller that it was not all."""
        if self._transport is not None:
            self._flush()
            self._transport.close()
            self._within(self._bounds.parting)

    def finish(self) -> None:
        """No new request; what is being answered is let finish."""
        self.finishing = True
        if not self.busy:
            self.cut()

    def cut(self) -> None:
        """Now, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._patience = Patience(self._loop, self._transport, self._bounds, self)
        self._within(self._bounds.head)

    def data_received(self, data: bytes) -> None:
        if self._parting:
            return
        self._rest = self._rest[self._at :] + data if self._at < len(self._rest) else data
        self._at = 0
        self.read_on()

    def eof_received(self) -> bool:
        """A half-close behind a whole request is not a hang-up, where the two can be told apart."""
        patience = self._patience
        self._said_all = patience is not None and self.busy and self._parser.filling is None and not patience.gone()
        if patience is not None and self._said_all:
            patience.for_a_sign(wanted=True)  # of its leaving
        return self._said_all

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the reason changes nothing
        self._transport = None
        if self._patience is not None:
            self._patience.end()
        self._patience = None
        self._parser.close()
        self._queue.clear()
        self._rest, self._at = b"", 0
        if self.task is not None:
            self.task.cancel()
        self._host.left(self)

    def pause_writing(self) -> None:
        self.full = True
        if self._patience is not None:
            self._patience.for_taking(wanted=True)

    def resume_writing(self) -> None:
        self.full = False
        if self._patience is not None:
            self._patience.for_taking(wanted=False)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _flush(self) -> None:
        if self._held and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""

    # Requests

    def _holds_enough(self) -> bool:
        filling = self._parser.filling
        return bool(self._queue) or (filling is not None and filling.held > self._bounds.buffer)

    def _parse(self) -> None:
        idle = not self.busy and not self._parser.size
        if len(self._rest) <= _SLICE:
            piece, self._rest = self._rest, b""
            self._parser.feed(piece)
        else:
            at, self._at = self._at, self._at + _SLICE
            self._parser.feed(memoryview(self._rest)[at : self._at])
            if self._at >= len(self._rest):
                self._rest, self._at = b"", 0
        if not self.busy:
            self._next()
        if idle and not self.busy and not self._parting and self._patience is not None:
            self._patience.sooner(self._bounds.head)  # it has begun to come

    def _take(self, request: Request) -> None:
        self._queue.append(request)

    def _next(self) -> None:
        """The one whose turn it is, if there is one."""
        if self._queue:
            self.busy = True
            self._within(None)
            self._current = request = self._queue.popleft()
            self._server.begin(self, request)
        elif self._parser.broken and not self._parting:
            self._host.unreadable(self)
            self.write(refusal_in("", UNREADABLE, keep=False))
            self._part(whole=False)

    def _read(self, *, wanted: bool) -> None:
        if wanted == self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
        if self._patience is not None:
            self._patience.for_a_sign(wanted=self._said_all or not wanted)

    def _within(self, seconds: float | None) -> None:
        """Until it is cut; None: whoever serves a request has its own."""
        if self._patience is not None:
            self._patience.within(seconds)

    # The end

    def _part(self, *, whole: bool) -> None:
        """Closing with unread bytes in the socket could reset it, and the answer with it: they are read for a while.

        `whole`: there are none.
        """
        self._parting = True
        self._queue.clear()
        self._parser.close()
        self._rest, self._at = b"", 0
        self._within(self._bounds.parting / 2)
        if self._transport is None:
            return
        if whole:
            self._close()
        else:
            try:
                self._transport.write_eof()
            except OSError:  # asyncio's own loop: it has left, and we have not heard of it yet
                self.cut()
            else:
                self._read(wanted=True)

    def _close(self) -> None:
        """As soon as the answer is taken."""
        if self._transport is not None:
            self._transport.close()
            self._within(self._bounds.parting)

    # What its patience calls

    def too_late(self) -> None:
        if self._parting and self._transport is not None and not self._transport.is_closing():
            self._close()
        else:
            self.cut()

    def body_stopped(self) -> None:
        if self._current is not None:
            self._current.upload.fail(f"nothing more of the body came for {self._bounds.body:g} seconds")
