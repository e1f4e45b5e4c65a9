"""What there is to reach: each goal is a ratio to a floor or a peer that was measured in the same run."""

from typing import Final, Literal

from msgspec import Struct

from bench.measuring import Ratio, Series, ratio


class Goal(Struct, frozen=True):
    """`faster`: the ratio is the other's over ours, so that 3.5 says so many times faster."""

    sign: Literal["≤", "≥"]
    bound: float
    faster: bool = False

    def of(self, ours: Series, other: Series) -> Ratio:
        return ratio(other, ours) if self.faster else ratio(ours, other)

    def met(self, middle: float) -> bool:
        return middle <= self.bound if self.sign == "≤" else middle >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g} ×"


PROCESS: Final = Goal("≤", 1.08)
PEER: Final = Goal("≥", 3.5, faster=True)
LINES: Final = Goal("≤", 1.15)
KEPT: Final = Goal("≤", 1.35)
TOKENS: Final = Goal("≥", 0.55)
TAIL: Final = Goal("≤", 3.0)  # p99 at 256 connections
AGENT: Final = Goal("≥", 8.0)
HANGING: Final = Goal("≤", 1.2)
RELAY: Final = Goal("≤", 1.0)  # what is added, and the delay: no worse than aiohttp's
RELAY_RATE: Final = Goal("≥", 1.0)
STRETCH: Final = Goal("≤", 0.35)
START: Final = Goal("≤", 1.6)
MEMORY: Final = Goal("≤", 1.4)
WAKE_UPS: Final = Goal("≤", 0.0)  # beyond the watchdog's, a minute: these two are counts, not ratios
WAKE_UPS_DUE: Final = Goal("≤", 2.0)
SEALING: Final = Goal("≤", 1.5)
PLAN_GROWTH: Final = Goal("≤", 10.0)  # from 1,000 accounts to 10,000: linear
REFRESH_GROWTH: Final = Goal("≤", 1.2)  # from 10 accounts to 10,000: constant, but for the machine's noise
