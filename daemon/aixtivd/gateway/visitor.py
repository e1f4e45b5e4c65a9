"""One connection of the gateway: aiohttp's server for one caller, with our deadlines, and our words for bad bytes.

Imported at the first connection only: aiohttp takes a third of a second to load (D2).
"""

import asyncio
import select
from typing import Any, Final, Protocol

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from aixtivd.access.caller import Caller
from aixtivd.errors import BadRequest
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.incoming import LINES, LONGEST
from aixtivd.gateway.outgoing import refuse
from aixtivd.gateway.refusals import UNREADABLE
from aixtivd.gateway.upload import Upload

_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL
"""POLLRDHUP is Linux's: elsewhere a caller that is not being read has left only when both ways are closed."""


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


class Visitor(web.RequestHandler):
    def __init__(self, server: web.Server, place: Place, bounds: Bounds, host: Host) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None means none, as aiohttp's documentation says
            tcp_keepalive=False,
            auto_decompress=False,  # bytes through as they come
            read_bufsize=bounds.buffer,
            lingering_time=bounds.parting / 2,
            max_headers=LINES,
        )
        self.place = place
        self.busy = False  # with a request
        self.admitted = False  # some request of it was let in
        self.ticket = ""  # id of the one that the current request shows
        self.upload: Upload | None = None  # of the current request
        self.finishing = False  # the daemon is: what is answered now is the last
        self._bounds = bounds
        self._host = host
        self._head_begun = True  # the first one is due from the beginning
        self._head_size = 0  # bytes of the head that is not whole yet
        self._body: StreamReader | None = None  # of the newest request, open while its bytes come
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    # What whoever serves a request calls

    def begin(self) -> None:
        self.busy = True
        self._within(None)

    def end(self, *, keep: bool) -> None:
        """The answer is written. `keep`: another request may follow."""
        self.busy, self.upload, self.ticket = False, None, ""
        self._head_begun = False
        self._within(self._bounds.idle if keep else self._bounds.parting)

    def finish(self) -> None:
        """No new request; what is being answered is let finish."""
        self.finishing = True
        if not self.busy:
            self.cut()

    def cut(self) -> None:
        """Now, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    # What the event loop and aiohttp call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._within(self._bounds.head)

    def data_received(self, data: bytes) -> None:
        if data and not self.busy and not self._head_begun:
            self._head_begun = True
            self._within(self._bounds.head)
        in_a_body = self._body is not None and not self._body.is_eof()
        super().data_received(data)
        self._count(-self._head_size if in_a_body else len(data))
        if self.upload is not None and self._last_is_broken():
            # aiohttp's C parser says so only in what it queues behind the request, which waits for the body for ever.
            self.upload.fail("the body's framing is broken")

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)  # and with it what is under way is cancelled
        self._within(None)
        self._look_no_more()
        self._host.left(self)

    def pause_reading(self) -> None:
        super().pause_reading()
        if self._looking is None:
            self._looking = self._loop.call_later(self._bounds.look, self._look)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  # as aiohttp has it
        self._look_no_more()
        super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002  # aiohttp's parameters
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002  # quotes the caller
    ) -> web.StreamResponse:
        """What aiohttp cannot read. Requests that it can never fail in it: whoever serves them sees to that."""
        self._host.unreadable(self)
        return refuse(request, UNREADABLE)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What ended a body early its caller was told, and nobody else need be: such bodies could fill the log."""
        if not isinstance(kw.get("exc_info"), BadRequest):
            super().log_exception(*args, **kw)

    def _count(self, size: int) -> None:
        """A head that never becomes whole costs memory before anybody knows whose it is."""
        self._head_size += size
        if self._messages:
            self._body = self._messages[-1][1]
            self._head_size = 0
        elif self._head_size > LONGEST:
            self._host.unreadable(self)
            self.cut()

    def _last_is_broken(self) -> bool:
        return bool(self._messages) and not isinstance(self._messages[-1][0], RawRequestMessage)

    def _within(self, seconds: float | None) -> None:
        """The one deadline there is; None: none. Whoever serves a request has its own."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self.cut)

    def _look(self) -> None:
        """Whoever is not read from is not heard leaving either."""
        self._looking = None
        connection = self.transport.get_extra_info("socket") if self.transport is not None else None
        if connection is None:
            return
        poll = select.poll()
        poll.register(connection.fileno(), getattr(select, "POLLRDHUP", 0))
        if any(events & _GONE for _, events in poll.poll(0)):
            self.cut()
        else:
            self._looking = self._loop.call_later(self._bounds.look, self._look)

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
