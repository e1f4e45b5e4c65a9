"""A clock that stands still until a test moves it, and that can sleep and be set like a laptop's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class FakeClock:
    """Implements `aixtivd.clock.Clock`. A pause ends by its event, or when the clock is moved past its end."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self._wall = wall
        self._steady = 1000.0
        self._awake = 1000.0
        self._moved = anyio.Event()
        self.pauses: list[float | None] = []  # what has been asked for, for tests of the plan
        self._asked = anyio.Event()

    def wall(self) -> float:
        return self._wall

    def steady(self) -> float:
        return self._steady

    def awake(self) -> float:
        return self._awake

    async def pause(self, event: anyio.Event, seconds: float | None) -> None:
        self.pauses.append(seconds)
        self._asked.set()
        self._asked = anyio.Event()
        end = None if seconds is None else self._awake + seconds
        while not event.is_set() and (end is None or self._awake < end):
            moved = self._moved
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_first, event, tasks.cancel_scope)
                tasks.start_soon(_first, moved, tasks.cancel_scope)

    async def asked_for(self, seconds: float, times: int = 1) -> None:
        """Until as many pauses of that length have been asked for."""
        while self.pauses.count(seconds) < times:
            await self._asked.wait()

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._wall += seconds
        self._steady += seconds
        self._awake += seconds
        self._ring()

    def sleep(self, seconds: float) -> None:
        """The machine sleeps: timers stand still, the wall clock and the steady one do not."""
        self._wall += seconds
        self._steady += seconds

    def set_wall(self, by: float) -> None:
        """Somebody sets the wall clock, forward or back."""
        self._wall += by

    def _ring(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


async def _first(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def settle() -> None:
    """Lets every task that can go on go on, until all of them wait."""
    await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def limit(seconds: float) -> AsyncIterator[None]:
    """A real-time limit for a wait on something that happens in other tasks."""
    with anyio.fail_after(seconds):
        yield
