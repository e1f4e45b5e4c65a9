"""Measuring on a machine that is never quiet: interleaved, pinned to a core, medians, and how far the rounds differ."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

CORES: Final = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
FRONT: Final = CORES[0]  # whoever asks
BACK: Final = CORES[-1]  # whoever is asked; the same where there is one core only


class Series(Struct, frozen=True):
    """What the rounds gave, in their order."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def less(self, floor: "Series") -> "Series":
        """Round by round, what comes on top of `floor`."""
        return Series(tuple(mine - other for mine, other in zip(self.rounds, floor.rounds, strict=True)))


class Ratio(Struct, frozen=True):
    """Of two medians; `low` and `high` are the quartiles of the ratios of the single rounds."""

    middle: float
    low: float
    high: float


def ratio(over: Series, under: Series) -> Ratio:
    each = [mine / other for mine, other in zip(over.rounds, under.rounds, strict=True) if other]
    low, _, high = (
        statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else [each[0] if each else 0.0] * 3
    )
    return Ratio(over.median / under.median if under.median else 0.0, low, high)


def interleaved(rounds: int, *measured: Callable[[], float], warm: int = 1) -> list[Series]:
    """A B C A B C …, so that what the machine does beside it hits all alike. The first `warm` rounds do not count."""
    seen: list[list[float]] = [[] for _ in measured]
    for number in range(warm + rounds):
        for one, values in zip(measured, seen, strict=True):
            value = one()
            if number >= warm:
                values.append(value)
    return [Series(tuple(values)) for values in seen]


@contextmanager
def on(core: int) -> Iterator[None]:
    """This process on one core, and every process that it starts in the block for good."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, core: int) -> None:
    """Every thread of that process; those that it makes later inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def processor(pid: int) -> float:
    """Seconds of processor time that all threads of a process have had, to the nanosecond (/proc/PID/schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def duration(words: list[str], environ: dict[str, str], stdin: str = "/dev/null") -> float:
    """Seconds from before the start of a process to behind its end. Raises RuntimeError unless it succeeds."""
    files = [
        (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = os.posix_spawn(words[0], words, environ, file_actions=files)
    _, status = os.waitpid(pid, 0)
    taken = time.perf_counter() - began
    if status:
        raise RuntimeError(f"{' '.join(words)}: exit {os.waitstatus_to_exitcode(status)}")
    return taken


def spin() -> float:
    """Seconds for a fixed piece of work that waits for nothing: it differs from round to round by the machine alone."""
    began = time.perf_counter()
    sum(range(400_000))
    return time.perf_counter() - began
