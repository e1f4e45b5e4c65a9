"""The signals that the daemon heeds: none kills it before or after its loop, and none is lost when it is replaced.

While nobody heeds them they are blocked in the main thread, and wait there: what is blocked and what waits survive an
execution. They are not left to the event loop, which puts back the system's way with them, death, when it ends: by then
other threads may be there that do not block them.
"""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

HEEDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def keep() -> None:
    """From now on they wait for whoever heeds them next, here or after an execution. Main thread only."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    for which in HEEDED:
        signal.signal(which, _again)


def _again(which: int, _frame: FrameType | None) -> None:
    """Another thread took it; in the main one it waits."""
    signal.pthread_kill(threading.main_thread().ident or 0, which)


@contextmanager
def heeded() -> Iterator[AsyncIterator[int]]:
    """Those that waited and those that come, in this loop. What is not taken until the end waits for the next one.

    From the beginning no program that is started inherits that they are blocked.
    """
    loop = asyncio.get_running_loop()
    heard: deque[int] = deque()
    there = asyncio.Event()

    def hear(which: int, _frame: FrameType | None) -> None:
        heard.append(which)
        loop.call_soon_threadsafe(there.set)  # which also wakes the loop

    for which in HEEDED:
        signal.signal(which, hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
    try:
        yield _taken(heard, there)
    finally:
        keep()
        for left in heard:
            _again(left, None)


async def _taken(heard: deque[int], there: asyncio.Event) -> AsyncIterator[int]:
    while True:
        await there.wait()
        there.clear()
        while heard:
            yield heard.popleft()
