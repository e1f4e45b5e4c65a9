"""When a token is good enough and when it is refreshed: pure functions of numbers, without a clock (D8, D9).

All arguments and results are seconds. `chance` is a number in [0, 1) where one is asked for.
"""

from enum import Enum, auto
from typing import Final

LEAD: Final = 150.0
"""The Anthropic SDKs ask again at 120 s left and fail at 30 s: a reader must always find more than 120 s."""

LEAD_SHARE: Final = 0.2  # of the lifetime, where that is more than LEAD
JITTER: Final = 0.1  # of the lead, either way, so that accounts signed in together drift apart

BACKOFF_FIRST: Final = 1.0
BACKOFF_MOST: Final = 300.0  # Vault Agent's figures; full jitter
RETRY_AFTER_LEAST: Final = 5.0
RETRY_AFTER_MOST: Final = 300.0
INEFFECTIVE: Final = 30.0  # an answer that brings no later expiry is not asked for again sooner
LEAST_APART: Final = 1.0  # after a refresh: a provider whose tokens live a moment is not asked in a loop by callers…
SOURCE_APART: Final = 30.0  # nor is a source by ourselves: it may start a command. Callers may want it sooner

LONGEST_SLEEP: Final = 37.0  # pizauth's: a timer may have stood still while the machine slept
JUMP: Final = 5.0  # clocks that disagree by more than this say that the machine slept or the time was set
SPREAD_EACH: Final = 0.25  # after a sleep, this much an account…
SPREAD_MOST: Final = 30.0  # …and at most this: the last one waits no longer

BREAKER_FAILURES: Final = 5  # in a row, over all accounts of one host
TRIES: Final = 5  # POSTs with one refresh token whose answers were all lost…
TRIES_PUNISHED: Final = 2  # …and where the provider is known to end a grant for a token used twice (D6)


class Freshness(Enum):
    SERVE = auto()
    SERVE_AND_REFRESH = auto()
    WAIT = auto()


def lead(lifetime: float) -> float:
    """How long before its expiry a token is refreshed: a share of the lifetime, at least LEAD, at most half."""
    return min(max(LEAD, lifetime * LEAD_SHARE), lifetime / 2)


def refresh_in(left: float, lifetime: float, chance: float, *, apart: float = 0.0) -> float:
    """When to refresh a token with `left` seconds of life, jittered. Never negative.

    Before its expiry, unless that would be sooner than `apart` seconds after it was had.
    """
    jittered = lead(lifetime) * (1 - JITTER + 2 * JITTER * chance)
    age = lifetime - left
    return max(0.0, left - jittered, apart - age)


def life_left(now_wall: float, now_steady: float, expires_wall: float, expires_steady: float) -> float:
    """The shorter of what the two clocks say, so that a wall clock set back never makes an expired token good."""
    return min(expires_wall - now_wall, expires_steady - now_steady)


def freshness(left: float, lifetime: float, min_ttl: float) -> Freshness:
    """What to do for a caller who wants `min_ttl` more seconds. The last moments are the answer's own way there."""
    last_moments = min(5.0, lifetime / 10)
    if left < min_ttl or left <= last_moments:
        return Freshness.WAIT
    return Freshness.SERVE if left > lead(lifetime) else Freshness.SERVE_AND_REFRESH


def backoff(failures: int, chance: float) -> float:
    """Full jitter: anything up to the doubled ceiling, so that callers of one provider do not march in step.

    `failures` counts from 1. The first one is tried again after about a second in any case: many servers accept a
    refresh token again for some ten seconds after its answer was lost.
    """
    if failures <= 1:
        return BACKOFF_FIRST
    ceiling = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(failures, 16))
    return BACKOFF_FIRST + (ceiling - BACKOFF_FIRST) * chance


def wait_after(failures: int, retry_after: float, chance: float) -> float:
    """Backoff, or the server's Retry-After within its bounds where that is longer."""
    asked = min(max(retry_after, RETRY_AFTER_LEAST), RETRY_AFTER_MOST) if retry_after else 0.0
    return max(asked, backoff(failures, chance))


def breaker_pause(failures: int, chance: float) -> float:
    """How long a host is left alone after `failures` in a row: not at all below BREAKER_FAILURES."""
    beyond = failures - BREAKER_FAILURES + 1
    return backoff(beyond + 2, chance) if beyond > 0 else 0.0


def tries(*, rotates: bool | None, punishes_reuse: bool) -> float:
    """POSTs with one refresh token before a person is asked, where no answer ever arrived.

    Either the server never rotated, and the token is good; or it did, and the grant is lost whatever we do. So trying
    again can only help, except where a reuse is punished. A provider that does not rotate can be asked for ever.
    """
    if rotates is False:
        return float("inf")
    return TRIES_PUNISHED if punishes_reuse else TRIES


def jumped(before: tuple[float, float, float], now: tuple[float, float, float]) -> bool:
    """Whether the machine slept, or its wall clock was set, between two readings of (wall, steady, awake)."""
    wall, steady, awake = (late - early for early, late in zip(before, now, strict=True))
    return abs(steady - awake) > JUMP or abs(wall - steady) > JUMP


def spread(accounts: int, chance: float) -> float:
    """A moment within the time over which `accounts` refreshes are spread after a sleep."""
    return chance * min(SPREAD_MOST, accounts * SPREAD_EACH)


def nap(due_in: float | None) -> float | None:
    """How long the scheduler may sleep: not at all by timer where nothing is planned (None)."""
    return None if due_in is None else min(LONGEST_SLEEP, max(0.0, due_in))
