"""When a token is good enough and when it is refreshed: tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.accounts import states
from aixtivd.accounts.states import Freshness

seconds = st.floats(min_value=0, max_value=10**7)
chance = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("lifetime", "lead"),
    [
        (4, 2),  # short: half the lifetime
        (200, 100),
        (300, 150),
        (600, 150),  # the SDKs' 120 s and a margin
        (3600, 720),  # a fifth
        (86400, 17280),
    ],
)
def test_the_lead_is_a_fifth_of_the_life_at_least_150_seconds_at_most_half(lifetime: float, lead: float) -> None:
    assert states.lead(lifetime) == lead


@given(seconds, seconds, chance)
def test_a_refresh_is_planned_before_the_expiry_and_never_in_the_past(
    left: float, lifetime: float, dice: float
) -> None:
    planned = states.refresh_in(left, lifetime, dice)
    assert planned >= 0
    assert planned <= left or planned == 0


@given(st.floats(0, 10_000), seconds, chance)
def test_a_source_is_asked_by_ourselves_at_most_every_half_minute_however_short_its_tokens_live(
    age: float, lifetime: float, dice: float
) -> None:
    planned = states.refresh_in(lifetime - age, lifetime, dice, apart=states.SOURCE_APART)
    assert age + planned >= states.SOURCE_APART - 1e-6


def test_the_jitter_is_ten_percent_of_the_lead_either_way() -> None:
    assert states.refresh_in(3600, 3600, 0.0) == pytest.approx(3600 - 720 * 0.9)
    assert states.refresh_in(3600, 3600, 0.999999) == pytest.approx(3600 - 720 * 1.1, rel=1e-4)


@pytest.mark.parametrize(
    ("left", "lifetime", "min_ttl", "expected"),
    [
        (3000, 3600, 0, Freshness.SERVE),
        (721, 3600, 0, Freshness.SERVE),
        (720, 3600, 0, Freshness.SERVE_AND_REFRESH),
        (6, 3600, 0, Freshness.SERVE_AND_REFRESH),
        (5, 3600, 0, Freshness.WAIT),  # the last moments are the answer's own way there
        (-1, 3600, 0, Freshness.WAIT),
        (3000, 3600, 3001, Freshness.WAIT),
        (3000, 3600, 3000, Freshness.SERVE),
        (3, 4, 0, Freshness.SERVE),  # seconds-long tokens: a tenth of their life is the last moment
        (0.5, 4, 0, Freshness.SERVE_AND_REFRESH),
        (0.4, 4, 0, Freshness.WAIT),
        (math.inf, 0, 10**9, Freshness.SERVE),  # does not expire
    ],
)
def test_what_a_caller_gets(left: float, lifetime: float, min_ttl: float, expected: Freshness) -> None:
    assert states.freshness(left, lifetime, min_ttl) is expected


@given(st.integers(min_value=1, max_value=10_000), chance)
def test_backoff_stays_between_a_second_and_five_minutes(failures: int, dice: float) -> None:
    assert states.BACKOFF_FIRST <= states.backoff(failures, dice) <= states.BACKOFF_MOST


def test_the_first_failure_is_tried_again_after_a_second_whatever_the_dice_say() -> None:
    assert {states.backoff(1, dice) for dice in (0.0, 0.5, 0.99)} == {1.0}


def test_backoff_spreads_over_the_whole_doubled_ceiling() -> None:
    assert states.backoff(5, 0.0) == 1.0
    assert states.backoff(5, 0.5) == pytest.approx(1 + 31 / 2)
    assert states.backoff(30, 0.999999) == pytest.approx(300, rel=1e-3)


@pytest.mark.parametrize(
    ("asked", "waited"), [(0.0, 1.0), (1.0, 5.0), (5.0, 5.0), (60.0, 60.0), (300.0, 300.0), (86400.0, 300.0)]
)
def test_retry_after_is_honoured_between_five_seconds_and_five_minutes(asked: float, waited: float) -> None:
    assert states.wait_after(1, asked, 0.5) == waited


def test_a_shorter_retry_after_does_not_undercut_the_backoff() -> None:
    assert states.wait_after(12, 5.0, 0.999999) > 200


def test_the_breaker_opens_at_the_fifth_failure_and_not_before() -> None:
    assert [states.breaker_pause(n, 0.5) > 0 for n in range(1, 8)] == [False] * 4 + [True] * 3


@pytest.mark.parametrize(
    ("rotates", "punishes", "tries"),
    [(None, False, 5), (True, False, 5), (None, True, 2), (True, True, 2), (False, False, math.inf)],
)
def test_how_often_one_refresh_token_is_tried_while_answers_are_lost(
    rotates: bool | None, punishes: bool, tries: float
) -> None:
    assert states.tries(rotates=rotates, punishes_reuse=punishes) == tries


@pytest.mark.parametrize(
    ("now", "jumped"),
    [
        ((137.0, 137.0, 137.0), False),  # a quiet nap
        ((138.0, 137.0, 137.0), False),  # NTP nudged
        ((500.0, 500.0, 137.0), True),  # slept
        ((3737.0, 137.0, 137.0), True),  # wall clock an hour forward
        ((-3463.0, 137.0, 137.0), True),  # and back
    ],
)
def test_a_jump_is_a_sleep_or_a_set_clock(now: tuple[float, float, float], jumped: bool) -> None:
    assert states.jumped((100.0, 100.0, 100.0), now) is jumped


def test_the_shorter_of_two_clocks_decides_how_long_a_token_lives() -> None:
    assert states.life_left(now_wall=100, now_steady=10, expires_wall=160, expires_steady=40) == 30
    assert states.life_left(now_wall=150, now_steady=10, expires_wall=160, expires_steady=40) == 10


@given(st.integers(min_value=0, max_value=10_000), chance)
def test_a_wake_up_is_spread_over_half_a_minute_at_most(accounts: int, dice: float) -> None:
    assert 0 <= states.spread(accounts, dice) <= 30


def test_without_anything_planned_there_is_no_timer() -> None:
    assert states.nap(None) is None
    assert states.nap(5.0) == 5.0
    assert states.nap(-1.0) == 0.0
    assert states.nap(3600.0) == states.LONGEST_SLEEP
