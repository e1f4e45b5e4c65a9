"""Times in words, and foreign text made safe."""

import time

import pytest

from aixtiv import words

NOON = time.mktime((2026, 11, 23, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 seconds"),
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (3900, "1 hour 5 minutes"),
        (4 * 3600 + 61, "4 hours 1 minute"),
        (25 * 3600, "25 hours"),
        (72 * 3600, "3 days"),
    ],
)
def test_a_length_of_time(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_a_length_of_time_where_there_is_little_room(seconds: float, said: str) -> None:
    assert words.brief(seconds) == said


def test_a_point_in_time_has_a_date_only_where_it_is_not_today() -> None:
    assert words.moment(NOON + 60, NOON) == "12:01"
    assert words.moment(NOON + 86_400, NOON) == "2026-11-24 12:00"


@pytest.mark.parametrize(
    ("offset", "said"),
    [(3540, "12:59 (59 minutes left)"), (0, "expired 0 seconds ago"), (-7200, "expired 2 hours ago")],
)
def test_an_expiry(offset: int, said: str) -> None:
    assert words.until(NOON + offset, NOON) == said


def test_an_expiry_that_never_comes() -> None:
    assert words.until(0) == "does not expire"


def test_a_providers_text_cannot_drive_the_terminal() -> None:
    assert words.clean("a\x1b]0;title\x07b\x9bc\u202edef\r") == "a�]0;title�b�c�def�"
    assert words.clean("two\nlines\tand é 漢字") == "two\nlines\tand é 漢字"
