"""Accounts into a backup and back: all of them or none, and nothing that is there is lost over it."""

import sqlite3
from typing import Any

import anyio
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.book import Entry
from aixtivd.accounts.grant import Grant, from_row, to_row
from aixtivd.accounts.restoring import Restored, read
from aixtivd.errors import BadRequest, Locked, StoreFailed
from aixtivd.oauth.outcomes import NeedsSignIn
from aixtivd.vault.backup import Content
from aixtivd.vault.rows import Row
from peers.clock import FakeClock
from peers.house import Held, House, Opener, granted


def names(content: Content) -> list[str]:
    return sorted(from_row(Row(b"", 0, record)).name for record in content.records)


async def test_every_account_is_in_it_whole(house: Opener) -> None:
    async with house() as h:
        one = await h.adopt("github")
        await h.accounts.api_key(requests.ApiKey(account="static", key=Secret("sk-of-mine-123456")))
        content = h.accounts.content()
        assert names(content) == ["github", "static"]
        assert content.made_at == h.clock.wall()
        assert to_row(one).payload in content.records


async def test_what_was_signed_out_comes_back_works_and_is_another_record(house: Opener) -> None:
    async with house() as h:
        before = await h.adopt("github")
        content = h.accounts.content()
        await h.accounts.logout(requests.Logout(account="github"))
        done = await h.accounts.restore(content, replace=False)
        assert done == Restored(accounts=("github",), kept=())
        assert await h.token("github") == "access-0"
        after = await h.stored("github")
        assert after.id != before.id, "a record that was signed out is never revived"
        assert msgspec.structs.replace(after, id=before.id) == before
        h.script.answers = [granted(1)]
        h.clock.advance(3000)
        await h.settle()
        assert h.script.spent == ["refresh-0"]
        assert await h.token("github") == "access-1"


async def test_it_survives_a_restart(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        await h.adopt("gitlab")
        content = h.accounts.content()
        await h.accounts.logout(requests.Logout(account="github"))
        await h.accounts.restore(content, replace=False)
    async with house(clock) as again:
        assert await again.token("github") == "access-0"
        assert await again.token("gitlab") == "access-0"


async def test_an_account_that_is_there_stays_untouched_and_is_named(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        h.script.answers = [granted(7)]
        await h.accounts.refresh(requests.Refresh(account="github"))
        await h.adopt("gitlab")
        done = await h.accounts.restore(content, replace=False)
        assert done == Restored(accounts=(), kept=("github",))
        assert await h.token("github") == "access-7"
        assert (await h.stored("github")).generation == 2


async def test_replaced_its_generation_is_kept_for_a_day(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        h.script.answers = [granted(7)]
        await h.accounts.refresh(requests.Refresh(account="github"))
        newest = await h.stored("github")
        done = await h.accounts.restore(content, replace=True)
        assert done == Restored(accounts=("github",), kept=())
        after = await h.stored("github")
        assert (after.id, after.generation) == (newest.id, newest.generation + 1)
        assert after.refresh_token == Secret("refresh-0")
        kept = [from_row(row) for row in await h.vault.journal.kept(newest.id)]
        assert kept[0].refresh_token == Secret("refresh-7")
        assert await h.token("github") == "access-0"


async def test_a_refresh_under_way_is_settled_first_and_its_pair_is_kept(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github", 5)
        content = Content(h.clock.wall(), (to_row(await h.stored("github")).payload,))

        done: list[Restored] = []

        async def restore() -> None:
            done.append(await h.accounts.restore(content, replace=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restore)
            await anyio.wait_all_tasks_blocked()
            assert done == [], "its answer is on its way"
            answer.release.set()
        assert done == [Restored(accounts=("github",), kept=())]
        now = await h.stored("github")
        kept = [from_row(row) for row in await h.vault.journal.kept(now.id)]
        assert Secret("refresh-5") in [grant.refresh_token for grant in kept]
        open_now = [intent.generation for intent in await h.vault.journal.intents()]
        assert set(open_now) <= {now.generation}, "the one before is closed"


async def test_a_spent_refresh_token_from_a_backup_ends_in_a_sentence_and_nothing_is_erased(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        await h.accounts.logout(requests.Logout(account="github"))
        await h.accounts.restore(content, replace=False)
        h.script.answers = [NeedsSignIn(reason="invalid_grant")]
        h.clock.advance(4000)
        await h.settle()
        state = h.state("github")
        assert (state.state, state.hint) == ("quarantined", "aixtiv login github")
        assert (await h.stored("github")).refresh_token == Secret("refresh-0")


async def nothing_changed(h: House, content: Content, sentence: str) -> None:
    before = sorted(await h.vault.rows(), key=lambda row: row.id)
    with pytest.raises((BadRequest, StoreFailed), match=sentence):
        await h.accounts.restore(content, replace=True)
    assert sorted(await h.vault.rows(), key=lambda row: row.id) == before
    assert await h.token("github") == "access-0"


def record(name: str) -> bytes:
    return to_row(Grant(id=b"x" * 16, name=name, provider="github", api_key=Secret("k" * 20))).payload


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ((record("new"), b"nonsense"), "does not know how to read"),
        ((record("new"), record("new")), "holds new twice"),
        ((record("new"), record("two words")), "letters, digits"),
        ((record("new"), record("sk-ant-api03-" + "x" * 40)), "looks like a key"),
    ],
)
async def test_one_bad_account_and_none_comes_back(house: Opener, records: tuple[bytes, ...], sentence: str) -> None:
    async with house() as h:
        await h.adopt("github")
        await nothing_changed(h, Content(1.0, records), sentence)


async def test_a_store_that_takes_the_first_and_not_the_second_has_none(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        await h.adopt("github")
        assert h.vault._opened is not None
        ledger, put, calls = h.vault._opened.ledger, h.vault._opened.ledger._put, []

        def failing(*given: Any) -> None:
            calls.append(given)
            if len(calls) == 2:
                raise sqlite3.OperationalError
            put(*given)

        monkeypatch.setattr(ledger, "_put", failing)
        await nothing_changed(h, Content(1.0, (record("new"), record("newer"))), "the store")
        assert len(calls) == 2
        assert [account.name for account in h.accounts.accounts().accounts] == ["github"]


async def test_locked_it_neither_makes_nor_takes_one(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        await h.accounts.lock()
        with pytest.raises(Locked):
            h.accounts.content()
        with pytest.raises(Locked):
            await h.accounts.restore(content, replace=True)


async def test_a_lock_waits_for_a_restore_that_has_begun(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        await h.accounts.logout(requests.Logout(account="github"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: h.accounts.restore(content, replace=False))
            tasks.start_soon(h.accounts.lock)
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("github") == "access-0"


async def test_a_token_under_a_held_answer_is_not_needed_for_an_account_that_is_new(house: Opener) -> None:
    """Another account's refresh holds up no restore."""
    async with house() as h:
        answer: Held = await h.in_a_refresh("github")
        done = await h.accounts.restore(Content(1.0, (record("new"),)), replace=True)
        assert done.accounts == ("new",)
        answer.release.set()
        await h.settle()


async def test_one_that_works_and_is_newer_than_the_backup_stays_even_so(house: Opener) -> None:
    """What the backup has of it was spent for what is there: with it the whole sign-in could be lost."""
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        h.clock.advance(10)
        h.script.answers = [granted(7)]
        await h.accounts.refresh(requests.Refresh(account="github"))
        assert await h.accounts.restore(content, replace=True) == Restored(accounts=(), kept=("github",))
        assert await h.token("github") == "access-7"
        h.script.answers = [granted(8)]
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-8", "and it is kept fresh as before"


async def test_one_whose_sign_in_has_ended_is_replaced_however_new_it_is(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        content = h.accounts.content()
        h.clock.advance(10)
        h.script.answers = [granted(7), NeedsSignIn(reason="invalid_grant")]
        await h.accounts.refresh(requests.Refresh(account="github"))
        h.clock.advance(4000)
        await h.settle()
        assert h.state("github").state == "quarantined"
        assert (await h.accounts.restore(content, replace=True)).accounts == ("github",)
        assert (await h.stored("github")).refresh_token == Secret("refresh-0")


async def test_a_refresh_that_lands_meanwhile_counts(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github", 5)
        content = Content(h.clock.wall() - 1, (to_row(await h.stored("github")).payload,))
        done: list[Restored] = []

        async def restore() -> None:
            done.append(await h.accounts.restore(content, replace=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restore)
            await anyio.wait_all_tasks_blocked()
            answer.release.set()
        assert done == [Restored(accounts=(), kept=("github",))]
        assert await h.token("github") == "access-5"


@pytest.mark.parametrize("at", [float("inf"), float("nan"), 1e308, -1.0])
@pytest.mark.parametrize("field", ["signed_in_at", "refreshed_at", "expires_at", "lifetime", "id_token_at"])
def test_times_that_are_none_are_refused(field: str, at: float) -> None:
    grant = Grant(id=b"x" * 16, name="new", provider="github", access_token=Secret("a"))
    absurd = to_row(msgspec.structs.replace(grant, **{field: at})).payload
    with pytest.raises(BadRequest, match="holds new with times that are none"):
        read(Content(1.0, (absurd,)))


async def test_a_backup_of_no_time_is_refused(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        for at in (float("inf"), float("nan"), 1e300, -1.0):
            await nothing_changed(h, Content(at, (record("new"),)), "no time")


@pytest.mark.parametrize("at", [float("inf"), float("nan"), 1e308])
def test_times_that_are_none_in_one_account_keep_no_other_from_being_shown(at: float) -> None:
    """However they came into the store."""
    clock = FakeClock()
    entry = Entry(Grant(id=b"x" * 16, name="new", provider="github", signed_in_at=at, expires_at=at), clock)
    shown = entry.described(clock, default=False)
    assert (shown.signed_in_at, shown.expires_at, entry.reply.expires_at) == (0, 0, 0)
