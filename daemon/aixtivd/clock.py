"""The time: wall time for expiry, and a clock that counts sleep for deadlines (D9)."""

import sys
import time
from functools import partial
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the daemon asks the time of. Tests put a fake one here; both are in seconds."""

    def wall(self) -> float:
        """Unix time. May jump: the person sets it, NTP corrects it."""
        ...

    def steady(self) -> float:
        """Never jumps back, and counts the time the machine sleeps, so that it steps forward on waking."""
        ...

    def awake(self) -> float:
        """Never jumps back, and stands still while the machine sleeps: what the event loop's timers run on."""
        ...

    async def pause(self, event: anyio.Event, seconds: float | None) -> None:
        """Until the event, but no longer than `seconds`; None means no limit and no timer."""
        ...


# CLOCK_BOOTTIME counts suspend on Linux; on macOS CLOCK_MONOTONIC_RAW does not, mach_continuous_time is CLOCK_MONOTONIC
# (clock_gettime(3) of Darwin: "CLOCK_MONOTONIC … will continue to increment while the system is asleep").
_STEADY = time.CLOCK_MONOTONIC if sys.platform == "darwin" else getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_AWAKE = getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clocks. Two are read for every token: so with nothing between whoever asks and the kernel."""

    wall = staticmethod(time.time)
    steady = staticmethod(partial(time.clock_gettime, _STEADY))

    def awake(self) -> float:
        return time.clock_gettime(_AWAKE)

    async def pause(self, event: anyio.Event, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await event.wait()
