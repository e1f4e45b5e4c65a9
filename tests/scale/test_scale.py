"""The scale run, small: that it can fail is shown by its bounds, and that it holds by a real daemon."""

import sys
from pathlib import Path

import msgspec
import pytest

from scale.run import Bounds, Plan, Run, Seen
from scale.soak import broken, slope

# With so many scopes, three hundred accounts are more than one answer can carry.
PLAN = Plan(accounts=300, scopes=12, callers=32, window=3.0, lifetime=12.0, idle=1.0, coming=1.0, slack=4.0)
NO_CLOCK = Bounds(slower=1000.0, floor=5000.0)  # how fast a machine that is busy with other tests is says nothing

FAST = {"p50": 1.0, "p99": 2.0, "failures": {}, "expired": 0, "asked": 100}
GOOD = Seen(
    accounts=300,
    ready=0.5,
    late=[],
    nearest=100.0,
    lasted=60.0,
    server={"refreshes": 300, "reused": 0, "most_at_once": 8, "most_in_a_second": 10},
    idle=FAST,
    busy=FAST | {"p99": 19.0},
    memory=(60.0, 70.0, 70.0),
    descriptors=(50, 52),
    processor=1.0,
    listed=(300, 0.3),
    status=(300, 0.3),
)


@pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are read from /proc")
def test_three_hundred_accounts_that_end_together_are_refreshed_in_time_a_few_at_once(folder: Path) -> None:
    seen = Run(folder, PLAN).all(lambda _: None)
    assert NO_CLOCK.broken(seen) == []


def test_what_was_good_breaks_no_bound() -> None:
    assert Bounds().broken(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"late": ["github"]}, "1 accounts were late, github among them"),
        ({"server": GOOD.server | {"reused": 1}}, "1 refresh tokens were spent twice"),
        ({"server": GOOD.server | {"refreshes": 299}}, "only 299 refreshes"),
        ({"server": GOOD.server | {"most_at_once": 9}}, "9 refreshes at once"),
        ({"busy": FAST | {"failures": {"timeout": 1}}}, "busy: failures {'timeout': 1}, 0 tokens that had ended"),
        ({"idle": FAST | {"expired": 2}}, "idle: failures {}, 2 tokens that had ended"),
        ({"busy": FAST | {"asked": 0}}, "busy: failures {}, 0 tokens that had ended"),
        ({"busy": FAST | {"p99": 21.0}}, "the callers' p99 is 21.0 ms, and 2.0 when nothing is due"),
        ({"memory": (60.0, 70.0, 200.0)}, "200 MiB of memory"),
        ({"descriptors": (50, 67)}, "67 descriptors, from 50"),
        ({"listed": (299, 0.3)}, "aixtiv accounts --json shows 299 accounts"),
        ({"status": (299, 0.3)}, "aixtiv status --json shows 299 accounts"),
    ],
)
def test_each_bound_can_be_broken(changed: dict[str, object], said: str) -> None:
    assert Bounds().broken(msgspec.structs.replace(GOOD, **changed)) == [said]


def test_the_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0, 10.0), (1, 12.5), (2, 15.0)]) == pytest.approx(2.5)
    assert slope([(0, 10.0), (1, 9.0), (2, 10.0)]) == pytest.approx(0.0)
    assert slope([(0, 10.0)]) == 0.0


def test_a_soak_that_is_flat_breaks_nothing() -> None:
    assert list(broken(-3.0, [50, 53, 51], FAST, GOOD.server)) == []


@pytest.mark.parametrize(
    ("memory", "held", "asked", "server", "said"),
    [
        (61.0, [50], FAST, GOOD.server, "memory grows"),
        (0.0, [50, 63], FAST, GOOD.server, "descriptors are not flat"),
        (0.0, [50], FAST | {"failures": {"locked": 1}}, GOOD.server, "not every caller got a good token"),
        (0.0, [50], FAST | {"expired": 1}, GOOD.server, "not every caller got a good token"),
        (0.0, [50], FAST | {"asked": 0}, GOOD.server, "not every caller got a good token"),
        (0.0, [50], FAST, GOOD.server | {"reused": 1}, "a refresh token was spent twice"),
    ],
)
def test_each_bound_of_the_soak_can_be_broken(
    memory: float, held: list[int], asked: dict[str, object], server: dict[str, int], said: str
) -> None:
    assert list(broken(memory, held, asked, server)) == [said]
