"""A refresh as a transaction over two machines: what is on disk when, what a restart makes of it, who gives way."""

import anyio
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import states
from aixtivd.accounts.grant import renewed
from aixtivd.errors import Locked, SignInNeeded, StoreFailed
from aixtivd.oauth.outcomes import NeedsSignIn, Rotated, TryAgain
from peers.clock import FakeClock
from peers.house import Held, House, Opener, granted

LOST = TryAgain(reason="cut the connection", maybe_spent=True)


async def test_the_new_pair_is_on_disk_before_any_caller_sees_it(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]
        h.clock.sleep(4000)
        commit, order = h.vault.journal.commit, list[str]()

        async def watched(*args: object) -> bool:
            done = await commit(*args)  # type: ignore[arg-type]  # passed through
            order.append("committed")
            return done

        monkeypatch.setattr(h.vault.journal, "commit", watched)
        await h.token("github")
        order.append("served")
        assert order == ["committed", "served"]
        assert (await h.stored("github")).refresh_token == Secret("refresh-1")


async def test_while_the_post_is_under_way_an_intent_stands_on_disk_and_afterwards_none(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh()
        assert [intent.generation for intent in await h.vault.journal.intents()] == [1]
        answer.release.set()
        await h.settle()
        assert await h.vault.journal.intents() == []


async def test_an_open_intent_is_tried_again_at_once_after_a_restart(house: Opener) -> None:
    clock = FakeClock()
    await crash_in_a_refresh(house, clock)
    async with house(clock) as h:
        h.script.answers = [granted(1)]
        await h.settle()
        assert h.script.spent == ["refresh-0"]
        assert h.state("github").state == "fresh"


async def test_if_the_server_had_rotated_the_account_is_quarantined_with_a_sentence_and_kept(house: Opener) -> None:
    clock = FakeClock()
    await crash_in_a_refresh(house, clock)
    async with house(clock) as h:
        h.script.answers = [NeedsSignIn(reason="invalid_grant")]
        await h.settle()
        shown = h.state("github")
        assert shown.state == "quarantined"
        assert "the answer to an earlier refresh was lost" in shown.problem
        assert shown.hint == "aixtiv login github"
        assert (await h.stored("github")).refresh_token == Secret("refresh-0")


async def test_a_quarantine_survives_a_restart_and_is_not_tried_again_by_itself(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        h.script.answers = [NeedsSignIn(reason="invalid_grant")]
        clock.advance(3000)
        await h.settle()
    async with house(clock) as h:
        clock.advance(10_000)
        await h.settle()
        assert h.script.spent == []
        with pytest.raises(SignInNeeded, match="has ended this sign-in"):
            await h.token("github")


async def test_a_person_may_try_a_quarantined_token_once_more(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [NeedsSignIn(reason="invalid_grant"), granted(1)]
        h.clock.advance(3000)
        await h.settle()
        account = await h.accounts.refresh(requests.Refresh(account="github"))
        assert account.state == "fresh"
        assert account.problem == ""
        assert await h.token("github") == "access-1"


async def test_lost_answers_are_tried_five_times_and_then_a_person_is_asked(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [LOST] * 9
        await let_time_pass(h, 3000)
        assert len(h.script.spent) == 5
        assert h.state("github").state == "quarantined"
        assert "the answers to 5 refreshes were lost" in h.state("github").problem


async def test_where_reuse_is_punished_a_lost_answer_is_tried_once_more_only(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", punishes_reuse=True)
        h.script.answers = [LOST] * 9
        await let_time_pass(h, 3000)
        assert len(h.script.spent) == 2
        assert h.state("github").state == "quarantined"


async def test_a_provider_that_does_not_rotate_can_lose_any_number_of_answers(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1, rotate=False), *[LOST] * 9, granted(2, rotate=False)]
        await let_time_pass(h, 3000)
        await let_time_pass(h, 2500, steps=12)
        assert h.script.answers == []
        assert h.state("github").state == "fresh"


async def test_attempts_that_surely_were_not_sent_do_not_count(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", punishes_reuse=True)
        offline = TryAgain(reason="does not resolve")
        h.script.answers = [LOST, offline, offline, offline, granted(1)]
        await let_time_pass(h, 4000)
        assert h.script.answers == []
        assert h.state("github").state == "fresh"


async def test_a_slow_refresh_cannot_overwrite_a_new_sign_in(house: Opener) -> None:
    async with house() as h:
        slow = await h.in_a_refresh()
        await sign_in_again(h, "github", 7)
        slow.release.set()
        await h.settle()
        assert await h.token("github") == "access-7"
        assert (await h.stored("github")).refresh_token == Secret("refresh-7")


async def test_a_logout_waits_for_the_open_refresh_and_revokes_the_newest_pair(house: Opener) -> None:
    async with house() as h:
        slow = await h.in_a_refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.logout, requests.Logout(account="github"))
            await h.settle()
            assert h.script.revoked == []
            slow.release.set()
        assert h.script.revoked == ["refresh-1", "access-1"]
        assert await h.vault.rows() == []


async def test_lock_lets_the_open_refresh_finish_and_then_nothing_is_handed_out(house: Opener) -> None:
    async with house() as h:
        slow = await h.in_a_refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.lock)
            await h.settle()
            slow.release.set()
        assert h.accounts.cached(requests.Token(account="github")) is None
        with pytest.raises(Locked):
            await h.token("github")
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("github") == "access-1"


async def test_two_unlocks_at_once_load_the_accounts_once(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await h.accounts.lock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.unlock, requests.Unlock())
            tasks.start_soon(h.accounts.unlock, requests.Unlock())
        assert [account.name for account in h.accounts.states()] == ["github"]


async def test_without_an_intent_on_disk_nothing_is_spent(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:
        await h.adopt("github")

        async def full(*_: object) -> None:
            raise StoreFailed("the store is full")

        monkeypatch.setattr(h.vault.journal, "begin", full)
        h.clock.advance(3000)
        await h.settle()
        assert h.script.spent == []
        assert await h.token("github") == "access-0"
        monkeypatch.undo()
        h.script.answers = [granted(1)]
        h.clock.advance(6)
        await h.settle()
        assert await h.token("github") == "access-1"


async def test_a_pair_that_neither_store_nor_slot_takes_is_served_and_saved_as_soon_as_possible(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        await h.adopt("github")

        async def full(*_: object) -> bool:
            raise StoreFailed("neither the store nor the spill slot can be written")

        monkeypatch.setattr(h.vault.journal, "commit", full)
        h.script.answers = [granted(1)]
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-1"
        assert (await h.stored("github")).refresh_token == Secret("refresh-0")
        monkeypatch.undo()
        h.clock.advance(6)
        await h.settle()
        assert (await h.stored("github")).refresh_token == Secret("refresh-1")


async def test_at_most_n_refreshes_are_in_flight_at_one_host_and_all_get_their_turn(house: Opener) -> None:
    async with house() as h:
        for number in range(40):
            await h.adopt(f"account{number:02}")
        answers = [Held(granted(number)) for number in range(40)]
        h.script.answers = list(answers)
        h.clock.advance(3000)
        await h.settle()
        assert len(h.script.spent) == 8
        for answer in answers:
            answer.release.set()
        await h.settle()
        assert len(h.script.spent) == 40
        assert h.script.most_at_once == 8


async def test_a_host_that_keeps_failing_is_left_alone_by_all_its_accounts(house: Opener) -> None:
    async with house() as h:
        for number in range(20):
            await h.adopt(f"account{number:02}", host="down")
        await h.adopt("other", host="up")
        h.script.answers = [TryAgain(reason="answered 503")] * 500
        h.clock.advance(3000)
        await h.settle()
        assert len(h.script.spent) < 21, "the breaker opened before all had asked"


async def test_after_a_sleep_the_refreshes_are_spread_but_a_waiting_caller_goes_first(house: Opener) -> None:
    async with house() as h:
        for number in range(120):
            await h.adopt(f"account{number:03}", host=f"host{number}")
        h.script.answers = [granted(number) for number in range(121)]
        h.clock.sleep(8 * 3600)
        h.clock.advance(40)  # the timer that stood still goes off
        await h.settle()
        assert len(h.script.spent) < 60
        await h.token("account119", wait=1)
        for _ in range(40):
            h.clock.advance(1)
            await h.settle()
        assert len(h.script.spent) == 120


async def test_an_answer_without_a_later_expiry_is_not_asked_for_again_for_half_a_minute(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", lifetime=3600)
        h.script.answers = [granted(1, expires_in=1), granted(2)]
        h.clock.advance(2000)
        await h.accounts.refresh(requests.Refresh(account="github"))
        h.clock.advance(20)
        await h.settle()
        assert len(h.script.spent) == 1
        h.clock.advance(11)
        await h.settle()
        assert len(h.script.spent) == 2


async def test_no_expires_in_means_the_providers_default_lifetime(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", default_lifetime=1000)
        h.script.answers = [granted(1, expires_in=None)]
        await h.accounts.refresh(requests.Refresh(account="github"))
        assert h.state("github").expires_at == int(h.clock.wall() + 1000)


async def test_with_nothing_to_refresh_there_is_no_timer_at_all(house: Opener) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret("sk-ant-api-x")))
        await h.settle()
        assert h.clock.pauses[-1] is None
        assert await h.token("anthropic") == "sk-ant-api-x"


async def test_an_api_key_beside_a_sign_in_stays_when_the_sign_in_is_renewed(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret("sk-ant-api-x")))
        h.script.answers = [granted(1)]
        h.clock.advance(3000)
        await h.settle()
        stored = await h.stored("anthropic")
        assert (stored.api_key, stored.refresh_token) == (Secret("sk-ant-api-x"), Secret("refresh-1"))
        await h.accounts.api_key(requests.ApiKey(account="anthropic"))
        assert (await h.stored("anthropic")).api_key is None


async def crash_in_a_refresh(house: Opener, clock: FakeClock) -> None:
    """Leaves an open intent behind: the daemon dies while the answer is on its way."""
    async with house(clock) as h:
        await h.adopt("github")
        grant = await h.stored("github")
        assert grant.refresh_token
        await h.vault.journal.begin(grant.id, grant.generation, grant.refresh_token)


async def sign_in_again(h: House, name: str, number: int) -> None:
    entry = h.accounts._book.named(name)
    await h.accounts._changes._adopt(entry, entry.grant, renewed(entry.grant, granted(number).tokens, h.clock.wall()))


async def let_time_pass(h: House, seconds: float, steps: int = 7) -> None:
    """Then `steps` times longer than any backoff, so that everything planned has had its turn."""
    h.clock.advance(seconds)
    for _ in range(steps):
        await h.settle()
        h.clock.advance(states.BACKOFF_MOST)
    await h.settle()


async def test_a_new_refresh_token_is_kept_though_nothing_else_in_its_answer_can_be_used(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [Rotated(refresh_token=Secret("refresh-1"), reason="token_type is mac"), granted(2)]
        h.clock.advance(3000)
        await h.settle()
        assert (await h.stored("github")).refresh_token == Secret("refresh-1")
        assert await h.vault.journal.intents() == []
        assert "token_type is mac" in h.state("github").problem
        assert await h.token("github") == "access-0"
        await let_time_pass(h, 10)
        assert h.script.spent == ["refresh-0"], "a person is asked first"
        assert (await h.accounts.refresh(requests.Refresh(account="github"))).state == "fresh"
        assert h.script.spent == ["refresh-0", "refresh-1"]


async def test_tokens_that_live_a_moment_are_not_asked_for_in_a_loop(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", lifetime=1)
        h.script.answers = [granted(number, expires_in=1) for number in range(1, 200)]
        for _ in range(30):
            h.clock.advance(0.1)
            await h.settle()
        assert 1 < len(h.script.spent) <= 4
