"""What callers have under way: ended with the ticket it was begun with, and when the vault is locked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio

from aixtivd.access.tickets import Held, Tickets
from aixtivd.errors import AixtivError, Denied

_GONE: Final = 2.0  # seconds in which what was ended is over
_HELD_UP: Final = 30.0  # and where it is in a thread that stretches a passphrase, on a busy machine


class Lease:
    """Of one request."""

    __slots__ = ("_ended", "_scope")

    def __init__(self) -> None:
        self._ended: Callable[[], AixtivError] | None = None  # why
        self._scope: anyio.CancelScope | None = None  # of what is waited for now

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what is waited for; nothing may be yielded in it. Raises why the lease has ended, or ends."""
        if self._ended is None:
            try:
                with anyio.CancelScope() as self._scope:
                    yield
                if not self._scope.cancelled_caught:
                    return
            finally:
                self._scope = None
        assert self._ended is not None
        failure = self._ended()  # one of its own: it holds on to whatever it goes through
        try:
            raise failure
        finally:
            failure.__context__ = None  # what was cut off, and every secret in its frames
            del failure

    @property
    def held_up(self) -> bool:
        """Whether what it waits for has still to come to its end."""
        return self._scope is not None

    def end(self, why: Callable[[], AixtivError]) -> None:
        self._ended = why
        if self._scope is not None:
            self._scope.cancel()


class Leases:
    def __init__(self, tickets: Tickets) -> None:
        self._running: dict[str, set[Lease]] = {}  # by the ticket's id; empty: none was shown
        self._none_left = anyio.Event()
        tickets.ended.append(self._over)

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._running)

    @contextmanager
    def on(self, ticket: str) -> Iterator[Lease]:
        """`ticket`: the id of one that was good a moment ago; empty: none was shown."""
        lease = Lease()
        running = self._running.setdefault(ticket, set())
        running.add(lease)
        try:
            yield lease
        finally:
            running.discard(lease)
            if not running and self._running.get(ticket) is running:
                del self._running[ticket]
            if not self._running:
                self._none_left.set()

    async def end_all(self, why: Callable[[], AixtivError]) -> None:
        """Returns when all is over, or waits for a caller who takes nothing of its answer: that one is left behind."""
        for lease in self._all():
            lease.end(why)
        with anyio.move_on_after(_GONE):
            await self._until_over()
        if any(lease.held_up for lease in self._all()):
            with anyio.move_on_after(_HELD_UP):
                await self._until_over()

    def _all(self) -> tuple[Lease, ...]:
        return tuple(lease for running in self._running.values() for lease in running)

    async def _until_over(self) -> None:
        while self._running:
            self._none_left = anyio.Event()
            await self._none_left.wait()

    def _over(self, held: Held) -> None:
        for lease in tuple(self._running.get(held.id, ())):
            lease.end(_ticket_ended)


def _ticket_ended() -> Denied:
    return Denied("the ticket of this request has ended", hint="aixtiv ticket list")
