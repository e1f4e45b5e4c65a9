"""An earlier generation comes back: what is kept of it, when it may be tried, and that nothing is lost over it."""

from pathlib import Path

import anyio
import msgspec
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import grant as grants
from aixtivd.accounts.generations import reinstated, spent
from aixtivd.accounts.grant import Bound, Grant, from_row
from aixtivd.errors import Locked, NoAccount, Refused, StoreFailed
from aixtivd.oauth.client import Client
from aixtivd.oauth.outcomes import NeedsSignIn, TryAgain
from peers.clock import FakeClock
from peers.house import Held, House, Opener, granted
from peers.leaks import files_under


def anything(_: requests.Source | None) -> None:
    """Where there are no rules."""


async def renewed(h: House, *numbers: int) -> None:
    """Refreshed so often."""
    for number in numbers:
        h.script.answers = [granted(number)]
        h.clock.advance(60)
        await h.accounts.refresh(requests.Refresh(account="github"))


async def signed_in_anew(h: House, number: int, who: str) -> Grant:
    """A second sign-in to github takes the place of the first."""
    old = h.accounts._book.named("github")
    client = old.grant.client
    assert client
    h.clock.advance(60)
    terms = Bound(provider="github", client=client, scopes=("read",), who=who)
    new = grants.signed_in(old.grant, terms, granted(number).tokens, h.clock.wall())
    await h.accounts._changes._adopt(old, old.grant, new)
    return new


async def shown(h: House, account: str = "github") -> tuple[replies.Generation, ...]:
    return (await h.accounts.generations.shown(requests.Generations(account=account))).generations


async def back(h: House, generation: int = 0, *, anyway: bool = False) -> replies.AccountChanged:
    asked = requests.Reinstate(account="github", generation=generation, anyway=anyway)
    return await h.accounts.generations.reinstate(asked, anything)


async def test_the_newest_generation_is_first_and_each_says_what_it_is(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        made = int(h.clock.wall())
        await renewed(h, 1)
        await signed_in_anew(h, 2, "ada")
        now, before, first = await shown(h)
        assert (now.number, now.current, now.kept_until, now.spent, now.who) == (3, True, 0, False, "ada")
        assert (before.number, before.current, before.renewable, before.spent) == (2, False, True, False)
        assert before.kept_until == int(h.clock.wall()) + 48 * 3600, "the last of a sign-in that was replaced"
        assert first.kept_until == int(h.clock.wall()) - 60 + 24 * 3600
        assert (first.number, first.made_at, first.spent) == (1, made, True), "its token was exchanged for another"


async def test_what_was_put_aside_comes_back_as_the_newest_and_is_tried(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        h.script.answers = [NeedsSignIn(reason="over")]
        h.clock.advance(3000)
        await h.settle()
        assert h.state("github").state == "quarantined"
        h.script.answers = [granted(7)]
        changed = await back(h)
        assert changed.note == (
            "generation 1 counts again, as generation 3, and 2 is kept for a day; its refresh brought a new token"
        )
        assert (changed.account.state, changed.account.generation) == ("fresh", 4)
        assert h.script.spent == ["refresh-0", "refresh-0"]
        assert await h.token("github") == "access-7"
    async with house(clock) as again:
        assert await again.token("github") == "access-7"


async def test_a_sign_in_that_another_replaced_comes_back(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        h.script.answers = [granted(6)]
        changed = await back(h)
        assert h.script.spent == ["refresh-0"]
        assert changed.account.who == ""
        assert [one.who for one in await shown(h)] == ["", "", "eve", ""]


async def test_refreshes_do_not_push_out_a_sign_in_that_another_replaced(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        await renewed(h, *range(6, 12))
        assert [one.number for one in await shown(h)] == [8, 7, 6, 1]
        h.script.answers = [granted(20)]
        assert (await back(h)).note.startswith("generation 1 counts again")
        await renewed(h, *range(21, 25))
        assert 8 in [one.number for one in await shown(h)], "and eve's can come back, too"


async def test_it_is_durable_before_it_is_tried(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        answer = Held(granted(6))
        h.script.answers = [answer]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(back, h)
            await answer.asked.wait()
            assert (await h.stored("github")).refresh_token == Secret("refresh-0")
            kept = [from_row(row).refresh_token for row in await h.vault.journal.kept((await h.stored("github")).id)]
            assert Secret("refresh-5") in kept
            answer.release.set()


async def test_a_refresh_under_way_is_settled_first_and_its_pair_is_kept(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        answer = Held(granted(6))
        h.script.answers = [answer, granted(9)]
        h.clock.advance(3000)
        await answer.asked.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(back, h, 1)
            await anyio.wait_all_tasks_blocked()
            assert h.script.spent == ["refresh-5"], "its answer is on its way"
            answer.release.set()
        assert h.script.spent == ["refresh-5", "refresh-0"]
        kept = [from_row(row).refresh_token for row in await h.vault.journal.kept((await h.stored("github")).id)]
        assert Secret("refresh-6") in kept


async def test_a_spent_token_is_not_tried_where_that_is_punished(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", punishes_reuse=True)
        await renewed(h, 1)
        with pytest.raises(Refused, match="has been spent") as caught:
            await back(h)
        assert caught.value.hint == "aixtiv account restore github --generation 1 --anyway"
        assert h.script.spent == ["refresh-0"]
        assert (await h.stored("github")).refresh_token == Secret("refresh-1")
        h.script.answers = [NeedsSignIn(reason="used twice")]
        changed = await back(h, anyway=True)
        assert h.script.spent == ["refresh-0", "refresh-0"]
        assert changed.account.state == "quarantined"
        assert changed.note.endswith("its refresh failed")
        h.script.answers = [granted(3)]
        assert (await back(h, 2, anyway=True)).account.state == "fresh", (
            "and the one that counted before comes back, too"
        )
        assert h.script.spent[-1] == "refresh-1"


async def test_nor_where_what_counts_now_works_and_nobody_knows(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await renewed(h, 1)
        with pytest.raises(Refused, match="has been spent, and github works") as caught:
            await back(h)
        assert caught.value.hint == "aixtiv account restore github --generation 1 --anyway"
        h.script.answers = [NeedsSignIn(reason="over")]
        h.clock.advance(3000)
        await h.settle()
        assert h.state("github").state == "quarantined"
        h.script.answers = [granted(9)]
        assert (await back(h, 1)).account.state == "fresh", "nothing can be lost by a try any more"


async def test_the_one_that_is_meant_is_the_newest_that_is_not_spent(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        await renewed(h, 6)
        h.script.answers = [granted(7)]
        assert (await back(h)).note.startswith("generation 1 counts again")


async def test_an_unspent_one_is_tried_there_too(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", punishes_reuse=True)
        await signed_in_anew(h, 5, "eve")
        h.script.answers = [granted(6)]
        assert (await back(h)).account.state == "fresh"


async def test_a_failed_trial_keeps_what_came_back(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        h.script.answers = [TryAgain(reason="down")]
        changed = await back(h)
        assert (changed.account.state, changed.account.problem) == ("failing", "github: down")
        assert changed.note.endswith("its refresh failed")
        assert await h.token("github") == "access-0", "its token has not expired"


async def test_a_generation_that_is_not_kept_is_refused(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        with pytest.raises(NoAccount, match="nothing is kept of github"):
            await back(h)
        await renewed(h, 1)
        for number in (2, 9):
            with pytest.raises(NoAccount, match=f"generation {number} of github is not kept"):
                await back(h, number)
        with pytest.raises(NoAccount):
            await shown(h, "gitlab")
        await h.accounts.lock()
        for asked in (shown(h), back(h)):
            with pytest.raises(Locked):
                await asked


async def test_a_store_that_cannot_be_written_changes_nothing(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:
        await h.adopt("github")
        await renewed(h, 1)

        async def full(*_: object) -> None:
            await anyio.lowlevel.checkpoint()
            raise StoreFailed("no room")

        monkeypatch.setattr(h.vault.journal, "commit_all", full)
        with pytest.raises(StoreFailed):
            await back(h, anyway=True)
        assert await h.token("github") == "access-1"
        assert h.script.spent == ["refresh-0"]


async def test_an_account_that_is_renamed_keeps_what_can_come_back(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await signed_in_anew(h, 5, "eve")
        await h.accounts.rename(requests.Rename(account="github", to="work"))
        h.script.answers = [granted(6)]
        changed = await h.accounts.generations.reinstate(requests.Reinstate(account="work"), anything)
        assert (changed.account.name, changed.account.state) == ("work", "fresh")
        assert h.script.spent == ["refresh-0"]


async def keyed(h: House, account: str, key: str | None) -> None:
    await h.accounts.api_key(requests.ApiKey(account=account, key=Secret(key) if key else None))


async def test_a_key_that_was_taken_away_is_in_nothing_that_is_kept(house: Opener, folder: Path) -> None:
    async with house() as h:
        await keyed(h, "github", "a-key-before-the-sign-in")
        await signed_in_anew_over_a_key(h)
        await keyed(h, "github", "another-key-beside-it")
        await renewed(h, 1)
        before = await on_disk(h)
        assert len(before) == 4
        assert all(any(sealed in content for content in files_under(folder).values()) for sealed in before)
        await keyed(h, "github", None)
        kept = [from_row(row) for row in await h.vault.journal.kept((await h.stored("github")).id)]
        assert [grant.generation for grant in kept] == [3, 2], (
            "of the first nothing is left, and the fourth is not kept"
        )
        assert not any(grant.api_key for grant in (*kept, await h.stored("github")))
        files = files_under(folder).values()
        assert not any(sealed in content for sealed in before for content in files), "nor sealed"
        h.script.answers = [granted(2)]
        assert (await back(h, 3, anyway=True)).account.state == "fresh"
        assert (await h.stored("github")).api_key is None
        assert await h.token("github") == "access-2"


async def signed_in_anew_over_a_key(h: House) -> None:
    entry = h.accounts._book.named("github")
    terms = Bound(provider="github", client=CLIENT, scopes=("read",))
    new = grants.signed_in(entry.grant, terms, granted(0).tokens, h.clock.wall())
    await h.accounts._changes._adopt(entry, entry.grant, new)


async def on_disk(h: House) -> list[bytes]:
    """What is sealed of all accounts."""
    store = h.vault._opened.store  # type: ignore[union-attr]  # it is open
    query = "SELECT sealed FROM records UNION SELECT sealed FROM kept"
    return [sealed for (sealed,) in await store.transact(lambda db: db.execute(query).fetchall())]


async def test_of_an_account_that_is_nothing_but_a_key_the_one_before_comes_back_and_that_is_said(
    house: Opener,
) -> None:
    async with house() as h:
        for key in ("a-key-that-was-good", "a-key-set-by-mistake"):
            await keyed(h, "github", key)
        assert (await back(h)).note == (
            "generation 1 counts again, with the API key that it had, as generation 3, and 2 is kept for a day"
        )
        assert await h.token("github") == "a-key-that-was-good"


CLIENT = Client(provider="p", client_id="c", token_endpoint="https://p.example/token")
FIRST = Grant(id=b"", name="a", provider="p", generation=1, client=CLIENT, refresh_token=Secret("1"), signed_in_at=9.0)


def test_a_key_for_the_same_place_stays_and_no_other() -> None:
    now = msgspec.structs.replace(FIRST, generation=5, api_key=Secret("new"), name="b")
    assert reinstated(now, FIRST) == msgspec.structs.replace(now, generation=6)
    elsewhere = msgspec.structs.replace(FIRST, endpoint="https://else.example", api_key=Secret("old"))
    assert reinstated(now, elsewhere).api_key == Secret("old")
    without = msgspec.structs.replace(now, api_key=None)
    assert reinstated(without, msgspec.structs.replace(FIRST, api_key=Secret("old"))).api_key is None


@pytest.mark.parametrize(
    ("changed", "is_spent"),
    [
        ({"refresh_token": Secret("2")}, True),
        ({}, False),
        ({"refresh_token": None}, False),
        ({"refresh_token": Secret("2"), "signed_in_at": 10.0}, False),
        ({"refresh_token": Secret("2"), "generation": 0}, False),
    ],
    ids=["rotated", "only a key came", "no other token", "another sign-in", "an earlier one"],
)
def test_a_token_is_spent_that_was_exchanged_for_a_later_one(changed: dict[str, object], *, is_spent: bool) -> None:
    later = msgspec.structs.replace(FIRST, **{"generation": 2} | changed)
    assert spent(FIRST, [later, FIRST]) is is_spent
