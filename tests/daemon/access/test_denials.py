"""Who was turned away: recorded one by one, with measure, and counted."""

import asyncio
from typing import Any, cast

import pytest

from aixtivd.access import denials
from aixtivd.access.audit import Audit
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.access.denials import AT_ONCE, EVERY, Denials


class Book:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.written = asyncio.Event()

    def note(self, what: str, caller: Caller, *, detail: str, **_: Any) -> None:
        assert (what, caller.program) == ("denied", "aixtivd")
        self.said.append(detail)
        self.written.set()


class Desk:
    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def note(self, what: str, _: Caller, *, ok: bool, account: str, detail: str) -> None:
        assert not ok
        self.said.append((what, account, detail))


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[Denials, Book, Watch]:
    book, watch = Book(), Watch()
    return Denials(cast("Audit", book), watch), book, watch


def with_ticket(id_: str) -> Caller:
    return Caller(uid=0, pid=0, program="aixtivd", ticket=id_)


async def test_a_crowd_is_recorded_with_measure_and_no_kind_at_another_ones_cost() -> None:
    said, book, _ = made()
    for _ in range(3 * AT_ONCE):
        said.note(DAEMON, "page", kind="browser")
    said.note(DAEMON, "knock", kind="no-ticket")
    assert book.said == ["page"] * AT_ONCE + ["knock"]
    said.flush()


async def test_one_tickets_misuse_does_not_hide_another_ones() -> None:
    said, book, _ = made()
    for _ in range(3 * AT_ONCE):
        said.note(with_ticket("loud"), "loud", kind="misuse")
    said.note(with_ticket("quiet"), "quiet", kind="misuse")
    assert book.said[-1] == "quiet"
    said.flush()


async def test_what_was_held_back_is_told_with_the_next_one_that_is_recorded() -> None:
    said, book, watch = made()
    for _ in range(AT_ONCE + 3):
        said.note(DAEMON, "x")
    watch.now += EVERY
    said.note(DAEMON, "x")
    assert book.said[AT_ONCE:] == ["x; 3 more before it were not recorded"]
    said.flush()
    assert len(book.said) == AT_ONCE + 1, "nothing is left to tell"


async def test_what_was_held_back_is_told_without_a_next_one_and_only_then_a_timer_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(denials, "EVERY", 0.01)
    said, book, _ = made()
    for _ in range(AT_ONCE):
        said.note(DAEMON, "x")
    assert said._timer is None
    said.note(DAEMON, "x")
    book.written.clear()
    await asyncio.wait_for(book.written.wait(), 10)
    assert book.said[AT_ONCE:] == ["x"]
    assert said._timer is None


async def test_tickets_that_come_and_go_leave_nothing_behind() -> None:
    said, book, watch = made()
    for at in range(1000):
        said.note(with_ticket(str(at)), "x", kind="misuse")
        watch.now += EVERY
    assert len(book.said) == 1000
    assert len(said._measures) < 100


async def test_what_fails_in_a_loop_is_recorded_with_measure_as_what_it_was_and_is_no_denial() -> None:
    audit = Desk()
    said = Denials(cast("Audit", audit), Watch())
    for _ in range(3 * AT_ONCE):
        said.failed("token", DAEMON, "locked", code="locked", account="one")
    said.failed("token", DAEMON, "locked", code="locked", account="two")
    said.failed("token", DAEMON, "gone", code="sign_in_needed", account="one")
    assert audit.said == [("token", "one", "locked")] * AT_ONCE + [("token", "two", "locked"), ("token", "one", "gone")]
    said.flush()
    more = f"locked; {2 * AT_ONCE - 1} more before it were not recorded"
    assert audit.said[-1] == ("token", "one", more)
    assert not said.counted
