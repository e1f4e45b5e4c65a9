"""What a caller gets, and when the provider is asked."""

import anyio
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import AixtivError, NoAccount, Refused, ScopeMissing, SignInNeeded, Unreachable, WaitedTooLong
from aixtivd.errors import Misconfigured as MisconfiguredFailure
from aixtivd.oauth.outcomes import Misconfigured, NeedsSignIn, Outcome, TryAgain
from aixtivd.oauth.outcomes import Refused as RefusedOutcome
from peers.house import Held, Opener, granted


async def test_a_fresh_token_is_served_from_memory_and_nobody_is_asked(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        assert await h.token("github") == "access-0"
        assert await h.token() == "access-0"  # the only account is the default
        assert h.script.spent == []


async def test_inside_the_lead_the_old_token_is_served_while_a_new_one_is_fetched(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]
        h.clock._wall += 3000  # inside the lead, without waking the scheduler
        h.clock._steady += 3000
        assert await h.token("github") == "access-0"
        await h.settle()
        assert h.script.spent == ["refresh-0"]
        assert await h.token("github") == "access-1"


async def test_the_refresher_renews_before_the_expiry_without_any_caller(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1), granted(2)]
        for _ in range(20):
            h.clock.advance(360)
            await h.settle()
        assert h.script.spent == ["refresh-0", "refresh-1"]


async def test_an_expired_token_is_waited_for_and_a_thousand_callers_cost_one_refresh(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        answer = Held(granted(1))
        h.script.answers = [answer]
        h.clock.sleep(4000)
        got: list[str] = []

        async def call() -> None:
            got.append(await h.token("github"))

        async with anyio.create_task_group() as callers:
            for _ in range(1000):
                callers.start_soon(call)
            await answer.asked.wait()
            answer.release.set()
        assert got == ["access-1"] * 1000
        assert h.script.spent == ["refresh-0"]


async def test_a_caller_that_wants_more_life_than_is_left_waits_for_a_newer_token(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]
        h.clock.advance(600)
        assert await h.token("github", min_ttl=3300) == "access-1"


async def test_a_wish_no_token_can_fulfil_is_refused_without_asking_the_provider(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        with pytest.raises(Refused, match="live 3600 seconds; none lasts 7200 more"):
            await h.token("github", min_ttl=7200)
        assert h.script.spent == []


async def test_a_new_token_that_is_shorter_than_wished_ends_in_a_sentence_not_in_a_loop(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1, expires_in=60)]
        h.clock.advance(700)
        with pytest.raises(Refused, match="60 seconds left, and 3000 were wanted"):
            await h.token("github", min_ttl=3000)
        assert h.script.spent == ["refresh-0"]


async def test_a_caller_whose_wait_runs_out_is_told_so_and_the_refresh_goes_on(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        answer = Held(granted(1))
        h.script.answers = [answer]
        h.clock.sleep(4000)
        async with anyio.create_task_group() as tasks:

            async def impatient() -> None:
                with pytest.raises(WaitedTooLong, match="github"):
                    await h.token("github", wait=10)

            tasks.start_soon(impatient)
            await answer.asked.wait()
            h.clock.advance(11)
        answer.release.set()
        await h.settle()
        assert await h.token("github") == "access-1"


async def test_a_caller_that_hangs_up_does_not_stop_the_refresh(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        answer = Held(granted(1))
        h.script.answers = [answer]
        h.clock.sleep(4000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.token, "github")
            await answer.asked.wait()
            tasks.cancel_scope.cancel()
        answer.release.set()
        await h.settle()
        assert h.state("github").generation == 2


async def test_a_hanging_provider_holds_up_no_other_account(house: Opener) -> None:
    async with house() as h:
        await h.adopt("slow", host="slow")
        await h.adopt("quick", host="quick")
        hanging = Held(granted(1))
        h.script.answers = [hanging, granted(2)]
        h.clock.sleep(4000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.token, "slow")
            await hanging.asked.wait()
            assert await h.token("quick") == "access-2"
            hanging.release.set()


@pytest.mark.parametrize(
    "outcome",
    [
        TryAgain(reason="answered 503"),
        NeedsSignIn(reason="invalid_grant"),
        Misconfigured(reason="invalid_client"),
        RefusedOutcome(reason="access_denied"),
    ],
)
async def test_an_unexpired_token_is_served_whatever_happens_to_its_refresh(house: Opener, outcome: Outcome) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [outcome]
        h.clock.advance(3500)
        await h.settle()
        assert h.state("github").problem
        assert await h.token("github") == "access-0"


@pytest.mark.parametrize(
    ("outcome", "failure", "sentence", "state"),
    [
        (TryAgain(reason="answered 503"), Unreachable, "answered 503", "failing"),
        (NeedsSignIn(reason="invalid_grant"), SignInNeeded, "has ended this sign-in: invalid_grant", "quarantined"),
        (Misconfigured(reason="invalid_client"), MisconfiguredFailure, "invalid_client", "failing"),
        (RefusedOutcome(reason="access_denied"), Refused, "access_denied", "failing"),
    ],
)
async def test_each_outcome_has_its_own_failure_once_the_token_has_expired(
    house: Opener, outcome: Outcome, failure: type[AixtivError], sentence: str, state: str
) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [outcome]
        h.clock.sleep(4000)
        with pytest.raises(failure, match=sentence) as raised:
            await h.token("github", wait=0.5)
        assert "github" in raised.value.hint
        assert h.state("github").state == state
        assert (await h.stored("github")).refresh_token == Secret("refresh-0"), "nothing is erased by an error"


async def test_within_the_backoff_many_callers_cause_no_further_attempt(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [TryAgain(reason="answered 429", retry_after=120)]
        h.clock.sleep(4000)
        for _ in range(20):
            with pytest.raises(Unreachable) as raised:
                await h.token("github", wait=5)
            assert raised.value.retry_after == pytest.approx(120)
        assert len(h.script.spent) == 1


async def test_a_caller_with_patience_waits_through_the_backoff(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [TryAgain(reason="answered 503"), granted(1)]
        h.clock.sleep(4000)
        got: list[str] = []

        async def patient() -> None:
            got.append(await h.token("github", wait=60))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patient)
            await h.settle()
            h.clock.advance(2)
        assert got == ["access-1"]


async def test_names_that_are_not_there_get_a_sentence_with_the_next_command(house: Opener) -> None:
    async with house() as h:
        with pytest.raises(NoAccount, match="nobody has signed in"):
            await h.token()
        await h.adopt("github")
        await h.adopt("gitlab")
        with pytest.raises(NoAccount, match="no default; there are github, gitlab"):
            await h.token()
        with pytest.raises(NoAccount, match="there is no account nope") as raised:
            await h.token("nope")
        assert raised.value.hint == "aixtiv login nope"
        with pytest.raises(NoAccount, match="no account of that name"):
            await h.token("\x1b[31m evil")


async def test_a_scope_that_was_not_granted_is_named(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        with pytest.raises(ScopeMissing, match="lacks the scope admin"):
            await h.accounts.token(requests.Token(account="github", scopes=("read", "admin")))


async def test_a_wall_clock_set_back_does_not_make_an_expired_token_good(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]
        h.clock.sleep(4000)
        h.clock.set_wall(-3600)
        assert await h.token("github") == "access-1"
