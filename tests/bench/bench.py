"""What every row is given: how long it may take, the installed wheel, the floors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from bench.floors import Floors
from bench.installed import Installed
from bench.table import LeftOut, Line


class Plan(Struct, frozen=True, kw_only=True):
    """How often and how long."""

    starts: int = 40  # rounds of processes that take tens of milliseconds
    slow: int = 8  # rounds of those that take hundreds
    bursts: int = 9  # rounds of load
    burst: int = 700  # milliseconds of each
    idle: float = 75.0  # seconds in which wake-ups are counted: the scheduler's longest sleep twice
    sealed: int = 10_000  # rows
    accounts: tuple[int, ...] = (10, 100, 1_000, 10_000)
    refreshes: int = 100  # of each of these


SMOKE: Final = Plan(starts=2, slow=2, bursts=2, burst=40, idle=1.0, sealed=100, accounts=(10, 20, 100), refreshes=3)


class Bench:
    """`folder`: for what this run leaves behind for its own use."""

    def __init__(self, plan: Plan, installed: Installed, folder: Path) -> None:
        self.plan: Final = plan
        self.installed: Final = installed
        self.folder: Final = folder
        self.floors: Final = Floors(folder)


class Measure(Protocol):
    def __call__(self, bench: Bench) -> Iterator[Line | LeftOut]: ...
