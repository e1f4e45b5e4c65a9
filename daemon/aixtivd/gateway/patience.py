"""How long one caller is waited for: its next head, more of a body, its taking of an answer, and a sign of life."""

import asyncio
import select
import socket
from math import inf
from typing import Final, Protocol

from aixtivd.gateway.bounds import Bounds
from aixtivd.host.deadline import Deadline

_CLOSED: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL
_GONE: Final = getattr(select, "POLLRDHUP", 0) | _CLOSED
"""POLLRDHUP is Linux's: elsewhere a caller that is not being read has left only when both ways are closed."""


class Waiting(Protocol):
    """The connection."""

    def too_late(self) -> None:
        """What was due `within` some time has not come."""

    def body_stopped(self) -> None:
        """Nothing more of it has come for long."""

    def cut(self) -> None:
        """It takes nothing, or is gone."""


class Patience:
    """Four times at which something is due, one timer: most of them are moved long before they are reached."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, bounds: Bounds, side: Waiting
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._bounds = bounds
        self._side = side
        self._deadline = Deadline(loop, self._due, self._overdue)
        self._over_at = inf
        self._body_at = inf
        self._unread_at = inf
        self._unread = 0  # bytes that waited when that was last looked at
        self._look_at = inf

    def within(self, seconds: float | None) -> None:
        """From now. None: whoever serves a request has its own patience."""
        self._over_at = inf if seconds is None else self._loop.time() + seconds
        self._deadline.check()

    def sooner(self, seconds: float) -> None:
        """As `within`, where that is not due earlier already."""
        self._over_at = min(self._over_at, self._loop.time() + seconds)
        self._deadline.check()

    def for_body(self, *, wanted: bool) -> None:
        self._body_at = self._loop.time() + self._bounds.body if wanted else inf
        if wanted:
            self._deadline.check()

    def for_taking(self, *, wanted: bool) -> None:
        """Of an answer, as long as the caller takes some of it."""
        self._unread = self._transport.get_write_buffer_size() if wanted else 0
        self._unread_at = self._loop.time() + self._bounds.unread if wanted else inf
        if wanted:
            self._deadline.check()

    def for_a_sign(self, *, wanted: bool) -> None:
        """Whoever is not read from is not heard leaving: that is looked for."""
        self._look_at = self._loop.time() + self._bounds.look if wanted else inf
        if wanted:
            self._deadline.check()

    def end(self) -> None:
        self._over_at = self._body_at = self._unread_at = self._look_at = inf
        self._deadline.cancel()

    def _due(self) -> float:
        return min(self._over_at, self._body_at, self._unread_at, self._look_at)

    def _overdue(self) -> None:
        now = self._loop.time()
        if self._over_at <= now:
            self._over_at = inf
            self._side.too_late()
        if self._body_at <= now:
            self._body_at = inf
            self._side.body_stopped()
        if self._unread_at <= now:
            self._look_for_movement()
        if self._look_at <= now:
            self._look()
        self._deadline.check()

    def _look_for_movement(self) -> None:
        if self._transport.get_write_buffer_size() < self._unread:
            self.for_taking(wanted=True)
        else:
            self._unread_at = inf
            self._side.cut()

    def _look(self) -> None:
        if self.gone():
            self.for_a_sign(wanted=False)
            self._side.cut()
        else:
            self.for_a_sign(wanted=True)

    def gone(self) -> bool:
        """On a Unix socket the kernel tells a half-close from a hang-up; on a port both are the same."""
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), getattr(select, "POLLRDHUP", 0))
        signs = _CLOSED if connection.family == socket.AF_UNIX else _GONE
        return any(events & signs for _, events in poll.poll(0))
