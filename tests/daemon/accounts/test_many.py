"""Many accounts: what is done for one of them costs no look at all the others."""

import itertools

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Finding
from aixtivd.accounts import examining
from aixtivd.accounts.book import Book, Entry, Problem, listed
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.states import JITTER, SPREAD_MOST
from aixtivd.errors import NoAccount, Unreachable
from peers.clock import FakeClock
from peers.house import Held, House, Opener, granted

MANY = 100


def book(*names: str) -> Book:
    made, clock = Book(), FakeClock()
    made.open()
    for number, name in enumerate(names):
        grant = Grant(id=number.to_bytes(16, "big"), name=name, provider="p")
        made.add(Entry(grant, clock, saved=grant))
    return made


async def many(h: House, lifetime: int = 3600) -> None:
    for number in range(MANY):
        await h.adopt(f"team/{number:03}", lifetime=lifetime)


def test_accounts_are_in_order_whatever_order_they_came_in() -> None:
    names = ["b", "a/2", "c", "a", "a/10"]
    for order in itertools.permutations(names):
        made = book(*order)
        assert [entry.grant.name for entry in made.behind()] == sorted(names)
        made.remove(made.named("b"))
        made.add(made.named("c"))  # again: it is there once
        assert [entry.grant.name for entry in made.behind("a")] == ["a/10", "a/2", "c"]
        assert [entry.grant.name for entry in made.behind("a/1")] == ["a/10", "a/2", "c"], "a name that is none"
        made.close()
        assert not list(made.behind())


def test_a_sentence_names_twenty_accounts_and_counts_the_others() -> None:
    assert listed(["a", "b"]) == "a, b"
    with pytest.raises(NoAccount) as refused:
        book(*(f"team/{number:05}" for number in range(10_000))).named("")
    assert "team/00019 and 9980 more" in refused.value.sentence
    assert len(refused.value.sentence) < 500


def test_a_mistyped_name_is_looked_for_among_those_near_to_it() -> None:
    made = book("github", *(f"team/{number:05}" for number in range(10_000)))
    assert made.near("team/01023x") == "team/01023"
    assert made.near("githb") == "github"
    assert made.near("zzz") == ""


async def test_a_refresh_looks_at_no_other_account(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:
        await many(h)
        entry = h.accounts._book.named("team/007")
        walks = 0

        def walked(_: Book) -> object:
            nonlocal walks
            walks += 1
            return iter(())

        monkeypatch.setattr(Book, "__iter__", walked)
        h.script.answers = [granted(1)]
        h.accounts._refresher.force(entry)
        await h.settle()
        assert await h.token("team/007") == "access-1"
        assert walks == 0


async def test_plans_that_were_made_anew_do_not_gather(house: Opener) -> None:
    async with house() as h:
        await many(h)
        for _ in range(20):
            h.clock.sleep(60)
            h.clock.advance(40)
            await h.settle()
        plans = h.accounts._refresher._heap
        assert len(plans) <= 2 * MANY + 64
        live = {entry.grant.name for due, _, entry in plans if entry.due == due}
        assert len(live) == MANY, "none was dropped that counts"


async def test_all_that_are_due_at_once_are_refreshed_a_few_at_a_time(house: Opener) -> None:
    async with house() as h:
        await many(h)
        held = [Held(granted(number)) for number in range(8)]
        h.script.answers = [*held, *(granted(number) for number in range(8, MANY))]
        h.clock.sleep(3600 * (1 - JITTER))  # the machine slept until all were nearly over
        for _ in range(3):
            h.clock.advance(SPREAD_MOST / 2)
            await h.settle()
        assert h.script.at_once == len(h.script.spent) == 8
        for answer in held:
            answer.release.set()
        await h.settle()
        assert len(h.script.spent) == MANY
        assert h.script.most_at_once == 8
        assert {entry.grant.generation for entry in h.accounts._book} == {2}


async def test_a_lock_does_not_wait_for_the_refreshes_that_only_line_up_for_a_slot(house: Opener) -> None:
    async with house() as h:
        await many(h)
        held = [Held(granted(number)) for number in range(8)]
        h.script.answers = [*held]
        for entry in list(h.accounts._book):
            h.accounts._refresher.force(entry)
        for answer in held:
            await answer.asked.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.lock)
            for answer in held:
                answer.release.set()
        assert len(h.script.spent) == 8, "nothing new was begun"
        await h.accounts.unlock(requests.Unlock())
        assert sum(account.generation == 2 for account in h.accounts.states()) == 8, "and what was begun is there"


async def test_callers_see_only_the_accounts_that_are_visible_to_them(house: Opener) -> None:
    async with house() as h:
        await many(h)
        shown = h.accounts.accounts("team/010", lambda name: name.endswith("5"))
        assert [account.name for account in shown.accounts] == [f"team/{number:03}" for number in range(15, MANY, 10)]


async def test_the_doctor_is_told_what_is_wrong_first_and_how_many_others_there_are(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        monkeypatch.setattr(examining, "_MOST", 10)
        monkeypatch.setattr(examining.Examining, "_issuer", _nobody_asked)
        await many(h)
        for name in ("team/050", "team/070"):
            entry = h.accounts._book.named(name)
            entry.problem = Problem(Unreachable, "the provider cannot be reached")
        found = (await h.accounts.examine(requests.Examine())).findings
        assert [finding.account for finding in found[:2]] == ["team/050", "team/070"]
        assert len(found) == 11
        assert found[-1].sentence == f"{MANY + 2 - 10} more are in order"
        assert all(finding.ok for finding in found[2:])


async def _nobody_asked(*_: object) -> Finding:
    await anyio.lowlevel.checkpoint()
    return Finding(name="issuer", ok=True, sentence="it was not asked")
