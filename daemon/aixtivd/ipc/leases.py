"""What callers do with a ticket, ended with it: whoever has begun in time does not go on for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from aixtivd.access.tickets import Held, Tickets
from aixtivd.errors import Denied


class Lease:
    """Of one request. Without a ticket it never ends."""

    __slots__ = ("_ended", "_scope")

    def __init__(self) -> None:
        self._ended = False
        self._scope: anyio.CancelScope | None = None  # of what is waited for now

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what is waited for; nothing may be yielded in it. Raises Denied when the ticket ends, or has."""
        if not self._ended:
            try:
                with anyio.CancelScope() as self._scope:
                    yield
                if not self._scope.cancelled_caught:
                    return
            finally:
                self._scope = None
        raise Denied("the ticket of this request has ended", hint="aixtiv ticket list")

    def end(self) -> None:
        self._ended = True
        if self._scope is not None:
            self._scope.cancel()


class Leases:
    def __init__(self, tickets: Tickets) -> None:
        self._running: dict[str, set[Lease]] = {}  # by the ticket's id
        tickets.ended.append(self._over)

    @contextmanager
    def on(self, ticket: str) -> Iterator[Lease]:
        """`ticket`: the id of one that was good a moment ago; empty: none was shown."""
        lease = Lease()
        if not ticket:
            yield lease
            return
        running = self._running.setdefault(ticket, set())
        running.add(lease)
        try:
            yield lease
        finally:
            running.discard(lease)
            if not running:
                self._running.pop(ticket, None)

    def _over(self, held: Held) -> None:
        for lease in tuple(self._running.get(held.id, ())):
            lease.end()
