"""What `ticket`, `audit` and `usage` take and print, without a daemon."""

import time

import click
import pytest

from aixtiv.commands.audit import line
from aixtiv.commands.options import Span
from aixtiv.commands.usage import Since, size
from aixtiv_protocol.replies import AuditRecord


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604800), ("0", 0)]
)
def test_a_time_limit_is_typed_as_people_say_it(typed: str, seconds: int) -> None:
    assert Span().convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "soon", "-1", "1.5h", "1w", "0h", "99999999d", "1 h", "١h"])
def test_what_is_no_time_limit_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a time like 90s, 15m, 1h or 7d"):
        Span().convert(typed, None, None)


def test_since_is_days_hours_or_a_date() -> None:
    now = time.time()
    for typed, back in (("7", 7 * 86400), ("7d", 7 * 86400), ("12h", 12 * 3600)):
        assert abs(now - back - Since().convert(typed, None, None)) < 5
    midnight = time.localtime(Since().convert("2026-11-23", None, None))
    assert midnight[:6] == (2026, 11, 23, 0, 0, 0)
    assert Since().convert("99999", None, None) == 0
    assert Since().convert(0, None, None) == 0


@pytest.mark.parametrize("typed", ["yesterday", "2026-13-01", "-1", "1w", ""])
def test_what_is_no_beginning_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a number of days"):
        Since().convert(typed, None, None)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (20480, "20.5 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (5 * 10**9, "5 GB"),
        (3 * 10**12, "3 TB"),
    ],
)
def test_bytes_are_said_in_three_digits(count: int, said: str) -> None:
    assert size(count) == said


def test_a_record_is_one_line() -> None:
    record = AuditRecord(
        number=1,
        at=0.0,
        what="relay",
        account="anthropic",
        pid=7,
        program="/usr/bin/claude",
        agent="agent-7",
        ticket="ab12cd34",
        detail="POST /v1/messages",
        status=200,
        sent=812,
        received=20480,
    )
    assert line(record).partition("  ")[2] == (
        "relay         anthropic  POST /v1/messages, 200, 812 bytes sent, 20480 received"
        "  by /usr/bin/claude (pid 7), agent agent-7, ticket ab12cd34"
    )


def test_a_record_of_several_tokens_says_how_many_and_in_which_time() -> None:
    record = AuditRecord(number=1, at=10.0, what="token", account="github", pid=7, count=812, last_at=10.5)
    assert line(record).partition("  ")[2] == "token         github  812 times in 0.5 s  by an unknown program (pid 7)"


def test_a_record_with_little_in_it_is_a_line_too() -> None:
    assert line(AuditRecord(number=1, at=0.0, what="start")).partition("  ")[2] == "start"
    unknown = AuditRecord(number=1, at=0.0, what="denied", ok=False, pid=7, detail="no")
    assert line(unknown).partition("  ")[2] == "denied        no  by an unknown program (pid 7)"
