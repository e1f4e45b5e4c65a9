"""Changes to one account that meet: each sees what the store has, and none costs another's answer."""

import anyio
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.grant import renewed, with_key
from aixtivd.errors import NoAccount, StoreFailed
from aixtivd.oauth.outcomes import NeedsSignIn
from aixtivd.vault.journal import Journal
from aixtivd.vault.rows import Row
from peers.house import Held, House, Opener, granted


class SlowCommit:
    """Every commit takes place, and whoever asked for it hears so only after `release`."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = anyio.Event()
        self.release = anyio.Event()
        self._commit = journal.commit
        monkeypatch.setattr(journal, "commit", self)

    async def __call__(self, row: Row, previous: Row | None) -> bool:
        committed = await self._commit(row, previous)
        self.done.set()
        await self.release.wait()
        return committed


async def refresh(h: House) -> None:
    await h.accounts.refresh(requests.Refresh(account="github"))


async def test_a_refresh_that_begins_while_a_sign_in_is_committed_spends_the_new_token(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        old = await h.adopt("github")
        slow = SlowCommit(h.vault.journal, monkeypatch)
        h.script.answers = [granted(8)]
        entry = h.accounts._book.named("github")
        async with anyio.create_task_group() as tasks:
            new = renewed(old, granted(7).tokens, h.clock.wall())
            tasks.start_soon(h.accounts._changes._adopt, entry, old, new)
            await slow.done.wait()
            tasks.start_soon(refresh, h)
            await h.settle()
            slow.release.set()
        await h.settle()
        assert h.script.spent == ["refresh-7"]
        assert await h.token("github") == "access-8"
        assert h.state("github").problem == ""


async def test_a_refresh_that_meets_the_saving_of_what_was_unsaved_goes_on(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        await h.adopt("github")

        async def full(*_: object) -> bool:
            raise StoreFailed("neither the store nor the spill slot can be written")

        monkeypatch.setattr(h.vault.journal, "commit", full)
        h.script.answers = [granted(1), granted(2)]
        await refresh(h)
        monkeypatch.undo()
        slow = SlowCommit(h.vault.journal, monkeypatch)
        async with anyio.create_task_group() as tasks:
            h.clock.advance(6)
            await slow.done.wait()
            tasks.start_soon(refresh, h)
            await h.settle()
            slow.release.set()
        await h.settle()
        assert h.script.spent == ["refresh-0", "refresh-1"]
        assert (await h.stored("github")).refresh_token == Secret("refresh-2")
        assert h.state("github").problem == ""


async def test_an_api_key_that_slips_in_does_not_cost_the_answer(house: Opener) -> None:
    async with house() as h:
        slow = await h.in_a_refresh()
        entry = h.accounts._book.named("github")
        await h.accounts._changes._adopt(entry, entry.grant, with_key(entry.grant, Secret("sk-made-up")))
        slow.release.set()
        await h.settle()
        assert await h.token("github") == "access-1"
        stored = await h.stored("github")
        assert (stored.refresh_token, stored.api_key) == (Secret("refresh-1"), Secret("sk-made-up"))


async def test_storing_an_api_key_waits_for_the_answer_that_is_on_its_way(house: Opener) -> None:
    """Until then the intent stands: if the daemon died now, it would know that the token was maybe spent."""
    async with house() as h:
        slow = await h.in_a_refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.api_key, requests.ApiKey(account="github", key=Secret("sk-made-up")))
            await h.settle()
            assert len(await h.vault.journal.intents()) == 1
            slow.release.set()
        stored = await h.stored("github")
        assert (stored.refresh_token, stored.api_key) == (Secret("refresh-1"), Secret("sk-made-up"))


async def test_an_api_key_that_slips_in_does_not_hide_that_the_grant_is_over(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        slow = Held(NeedsSignIn(reason="invalid_grant"))
        h.script.answers = [slow]
        h.clock.advance(3000)
        await slow.asked.wait()
        entry = h.accounts._book.named("github")
        await h.accounts._changes._adopt(entry, entry.grant, with_key(entry.grant, Secret("sk-made-up")))
        slow.release.set()
        await h.settle()
        assert h.state("github").state == "quarantined"


async def test_a_sign_in_that_is_committed_while_the_vault_is_locked_is_served_only_after_the_unlock(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        slow = SlowCommit(h.vault.journal, monkeypatch)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.adopt, "github")
            await slow.done.wait()
            await h.accounts.lock()
            slow.release.set()
        assert h.accounts.cached(requests.Token(account="github")) is None
        assert list(h.accounts.states()) == []
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("github") == "access-0"


async def test_two_who_make_one_account_at_once_make_one_account(house: Opener) -> None:
    async with house() as h:
        async with anyio.create_task_group() as tasks:
            for key in ("one", "two", "three"):
                tasks.start_soon(h.accounts.api_key, requests.ApiKey(account="anthropic", key=Secret(key)))
        assert len(await h.vault.rows()) == 1
        assert (await h.stored("anthropic")).api_key == Secret(await h.token("anthropic"))


async def test_two_who_sign_out_at_once_are_told_of_one_sign_out(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        ends: list[str] = []

        async def leave() -> None:
            try:
                ends.append((await h.accounts.logout(requests.Logout(account="github"))).account)
            except NoAccount as error:
                ends.append(error.sentence)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            tasks.start_soon(leave)
        assert sorted(ends) == ["github", "there is no account github"]
        assert h.script.revoked == ["refresh-0", "access-0"]


async def test_what_was_renewed_while_it_waited_for_its_turn_is_not_refreshed_once_more(house: Opener) -> None:
    async with house() as h:
        for number in range(9):  # one more than are in flight at once
            await h.adopt(f"account{number}")
        answers = [Held(granted(number)) for number in range(9)]
        h.script.answers = list(answers)
        h.clock.advance(3000)
        await h.settle()
        assert len(h.script.spent) == 8
        (waiting,) = (entry for entry in h.accounts._book if not entry.flying)
        new = renewed(waiting.grant, granted(100).tokens, h.clock.wall())
        await h.accounts._changes._adopt(waiting, waiting.grant, new)
        for answer in answers:
            answer.release.set()
        await h.settle()
        assert len(h.script.spent) == 8
        assert (await h.stored(waiting.grant.name)).refresh_token == Secret("refresh-100")
