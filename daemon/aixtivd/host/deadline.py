"""One timer of one conversation, armed as seldom as can be: most deadlines are moved long before they are reached."""

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """`due` says when (the loop's time; `inf`: never), `reached` is called once it is past.

    A deadline that moves away is left armed and looked at again when it rings, so that the hot path touches no timer;
    one that comes nearer has to be announced by `check`.
    """

    __slots__ = ("_armed_at", "_due", "_loop", "_reached", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], float], reached: Callable[[], None]) -> None:
        self._loop = loop
        self._due = due
        self._reached = reached
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = inf

    def check(self) -> None:
        due = self._due()
        if due < self._armed_at:
            self.cancel()
            self._armed_at = due
            self._timer = self._loop.call_at(due, self._ring)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._armed_at = inf

    def _ring(self) -> None:
        self._timer = None
        self._armed_at = inf
        if self._due() <= self._loop.time():
            self._reached()
        else:
            self.check()
