"""Who is told of an account in trouble, and when: once, not too often, and not before it is certain."""

from typing import Any

import anyio
import msgspec
import pytest

from aixtiv.show import shape
from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.notices import LOOK, STARTING
from aixtivd.config import Config, HooksConfig, NoticesConfig
from aixtivd.oauth.outcomes import NeedsSignIn, Outcome, Refused, TryAgain
from peers.clock import FakeClock, settle
from peers.ears import heard, listening, without_renewal
from peers.house import House, Opener, granted

OVER = NeedsSignIn(reason="invalid_grant")
MINUTE, HOUR = 60.0, 3600.0
HOOKS = HooksConfig(sign_in_needed=("/hooks/over",), failing=("/hooks/failing",), expires_soon=("/hooks/soon",))


async def ends(h: House, name: str, answer: Outcome = OVER) -> None:
    """A person asks for a refresh, and the provider answers so."""
    h.script.answers = [answer]
    entry = h.accounts._book.named(name)
    h.accounts._refresher.force(entry)
    await h.settle()


async def test_a_person_is_told_that_a_sign_in_is_needed_with_the_command_to_type(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ears.passes(0)
        assert ears.titles == ["aixtiv: github needs a sign-in"]
        assert ears.bodies == ["the provider has ended this sign-in: invalid_grant\naixtiv login github"]
        assert ears.stays == [True]


async def test_it_is_told_once_however_long_it_lasts(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ears.passes(5 * HOUR)
        await ends(h, "github")  # somebody tries: it is over as before
        await ears.passes(5 * HOUR)
        assert (len(ears.titles), len(ears.hooks)) == (1, 1)


async def test_and_once_across_restarts(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ears.passes(0)
        assert len(ears.titles) == 1
    async with house(clock) as h, listening(h) as ears:
        await ears.passes(5 * HOUR)
        assert ears.titles == []


async def test_what_is_over_again_after_a_new_sign_in_is_told_again_but_not_too_soon(house: Opener) -> None:
    async with house() as h, listening(h, notices=NoticesConfig(every=30)) as ears:
        await without_renewal(h, "github", lifetime=8 * 3600)
        await ears.passes(7 * HOUR)
        assert ears.titles == ["aixtiv: github ends soon"]
        await without_renewal(h, "github", lifetime=600)
        await ears.passes(8 * MINUTE)  # a fifth of its life is left
        assert len(ears.titles) == 1, "that was told eight minutes ago"
        await without_renewal(h, "github", lifetime=3600)
        await ears.passes(49 * MINUTE)
        assert ears.titles == ["aixtiv: github ends soon"] * 2


async def test_several_at_once_are_one_notification_and_a_hook_each(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        for name in ("a", "b", "c", "d", "e", "f"):
            await h.adopt(name)
        await ears.begun()
        for name in ("a", "b", "c", "d", "e", "f"):
            await ends(h, name)
        await ears.passes(0)
        assert ears.titles == ["aixtiv: 6 accounts need a sign-in"]
        assert ears.bodies[0].splitlines()[0] == "a needs a sign-in: aixtiv login a"
        assert ears.bodies[0].splitlines()[4:] == ["and 2 more: aixtiv status"]
        assert sorted(told["account"] for _, told in ears.hooks) == ["a", "b", "c", "d", "e", "f"]
        assert ears.busiest <= 4


async def test_troubles_of_several_kinds_are_one_notification_too(house: Opener) -> None:
    async with house() as h, listening(h, notices=NoticesConfig(failing_after=0)) as ears:
        await h.adopt("work")
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ends(h, "work", Refused(reason="access_denied"))
        await ears.passes(0)
        assert ears.titles == ["aixtiv: 2 accounts are in trouble"]
        assert ears.bodies[0].splitlines() == [
            "github needs a sign-in: aixtiv login github",
            "work cannot be refreshed: aixtiv refresh work, or aixtiv login work",
        ]


async def test_a_hook_is_told_the_event_as_watch_prints_it(house: Opener) -> None:
    async with house() as h, listening(h, hooks=msgspec.structs.replace(HOOKS, timeout=7.0)) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ears.passes(0)
        [(command, told)] = ears.hooks
        assert command == "/hooks/over"
        assert list(told) == list(shape(replies.Event(event="sign-in-needed", at=0.0)))
        assert told["event"] == "sign-in-needed"
        assert told["detail"] == "the provider has ended this sign-in: invalid_grant"
        assert (told["account"], told["at"] > 0, told["expires_at"] > 0) == ("github", True, True)
        assert ears.timeouts == {7.0}


async def test_refreshes_that_fail_are_told_of_when_that_has_lasted(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await h.adopt("github")
        await ears.passes(3000)  # from now on the script refuses
        assert h.state("github").state == "failing"
        await ears.passes(5 * MINUTE)
        assert ears.titles == []
        await ears.passes(10 * MINUTE)
        assert ears.titles == ["aixtiv: github cannot be refreshed"]
        assert ears.bodies == ["nothing in the script\naixtiv refresh github"]
        assert ears.stays == [False]
        assert [(command, told["event"]) for command, told in ears.hooks] == [("/hooks/failing", "failing")]


async def test_a_refresh_that_succeeds_in_between_begins_the_count_anew(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github", TryAgain(reason="busy"))
        await ears.passes(8 * MINUTE)
        await ends(h, "github", granted(1))
        assert h.state("github").state == "fresh"
        await ends(h, "github", TryAgain(reason="busy"))
        await ears.passes(8 * MINUTE)
        assert ears.titles == []
        await ears.passes(3 * MINUTE)
        assert len(ears.titles) == 1


@pytest.mark.parametrize(("lifetime", "before"), [(8 * 3600, 60 * 60), (3600, 12 * 60)])
async def test_a_token_that_nothing_renews_is_told_of_before_it_ends(house: Opener, lifetime: int, before: int) -> None:
    """An hour before, or a fifth of its life where that is shorter."""
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        grant = await without_renewal(h, "github", lifetime=lifetime)
        told: list[replies.Event] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heard, h, told)
            await ears.passes(lifetime - before - 60)
            assert ears.titles == []
            await ears.passes(60 + LOOK)
            tasks.cancel_scope.cancel()
        assert ears.titles == ["aixtiv: github ends soon"]
        assert ears.bodies[0].endswith(", and nothing but a sign-in renews it\naixtiv login github")
        assert [(event.event, event.account, event.expires_at) for event in told] == [
            ("expires-soon", "github", int(grant.expires_at))
        ]
        assert [command for command, _ in ears.hooks] == ["/hooks/soon"]


async def test_its_end_is_told_too(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await without_renewal(h, "github")
        await ears.passes(50 * MINUTE)
        await ears.passes(10 * MINUTE)
        assert ears.titles == ["aixtiv: github ends soon", "aixtiv: github needs a sign-in"]
        assert "the provider gave nothing to renew it with\naixtiv login github" in ears.bodies[1]


async def test_what_renews_itself_or_never_ends_is_told_of_to_nobody(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await without_renewal(h, "eternal", lifetime=0)
        await h.accounts.api_key(requests.ApiKey(account="key", key=Secret("sk-some-key")))
        await h.adopt("github")
        h.script.answers = [granted(number) for number in range(1, 20)]
        for _ in range(4):
            await ears.passes(45 * MINUTE)
        assert (ears.titles, ears.hooks) == ([], [])


async def test_nothing_is_told_while_the_daemon_has_just_started(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        await ends(h, "github")
    async with house(clock) as h, listening(h) as ears:
        await ears.passes(STARTING - 10)
        assert ears.titles == []
        await ears.passes(8)
        assert ears.titles == ["aixtiv: github needs a sign-in"]


async def test_a_sleep_does_not_count_as_time_that_refreshes_have_failed(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.passes(3000)
        assert h.state("github").state == "failing"
        h.clock.sleep(8 * HOUR)
        await ears.passes(MINUTE)  # now it notices
        await ears.passes(9 * MINUTE)
        assert ears.titles == []
        await ears.passes(2 * MINUTE)
        assert ears.titles == ["aixtiv: github cannot be refreshed"]


async def test_nobody_is_told_while_a_person_is_signing_in(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        signing_in: Any = h.accounts._sign_ins
        there = signing_in.of
        signing_in.of = lambda name: name == "github"
        await ends(h, "github")
        await ears.passes(MINUTE)
        assert ears.titles == []
        signing_in.of = there
        await ears.passes(LOOK)
        assert ears.titles == ["aixtiv: github needs a sign-in"]


async def test_what_reached_nobody_is_told_again_later_and_until_then_status_says_why(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        ears.deaf = "there is no desktop here"
        await ends(h, "github")
        await ears.passes(0)
        assert ears.notices.problem == "the last notice reached nobody: there is no desktop here"
        ears.deaf = ""
        await ears.passes(59 * MINUTE)
        assert ears.titles == []
        await ears.passes(LOOK)
        assert ears.titles == ["aixtiv: github needs a sign-in"]
        assert ears.notices.problem == ""


async def test_where_there_is_no_desktop_a_hook_is_enough(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await h.adopt("github")
        await ears.begun()
        ears.deaf = "there is no desktop here"
        await ends(h, "github")
        await ears.passes(3 * HOUR)
        assert len(ears.hooks) == 1
        assert ears.notices.problem == ""


async def test_a_hook_that_fails_is_said_without_the_accounts_name(house: Opener) -> None:
    """Whoever may ask for the status need not be told of every account."""
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await h.adopt("github")
        await ears.begun()
        ears.broken = "ended with status 3"
        await ends(h, "github")
        await ears.passes(3 * HOUR)
        assert ears.notices.problem == "the hook for sign-in-needed: /hooks/over ended with status 3"
        assert len(ears.titles) == 1


async def test_where_nobody_wants_to_be_told_watchers_are_all_the_same(house: Opener) -> None:
    async with house() as h, listening(h, notices=NoticesConfig(desktop=False)) as ears:
        await without_renewal(h, "github")
        told: list[replies.Event] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heard, h, told)
            for _ in range(2):
                await ears.passes(50 * MINUTE)
            tasks.cancel_scope.cancel()
        assert [event.event for event in told] == ["expires-soon", "sign-in-needed"]
        assert (ears.titles, ears.notices.problem) == ([], "")


async def test_a_reload_counts_at_once(house: Opener) -> None:
    async with house() as h, listening(h, notices=NoticesConfig(desktop=False, expires_within=0)) as ears:
        await without_renewal(h, "github")
        await ears.passes(55 * MINUTE)
        assert ears.titles == []
        ears.notices.reconfigure(Config(hooks=HOOKS))
        await ears.passes(0)
        assert ears.titles == ["aixtiv: github ends soon"]
        assert [command for command, _ in ears.hooks] == ["/hooks/soon"]


async def test_a_locked_vault_tells_nothing_and_an_unlocked_one_remembers_what_was_told(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await h.adopt("github")
        await ears.begun()
        await ends(h, "github")
        await ears.passes(0)
        await h.accounts.lock()
        await settle()
        assert not ears.notices._told
        h.clock.advance(HOUR)
        await h.accounts.unlock(requests.Unlock())
        await ears.passes(3 * HOUR)
        assert len(ears.titles) == 1
        assert ears.notices._loaded


async def test_accounts_that_are_gone_are_not_remembered(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        for name in ("github", "work"):
            await h.adopt(name)
        await ears.begun()
        await ends(h, "github")
        await ears.passes(0)
        await h.accounts.logout(requests.Logout(account="github"))
        await ends(h, "work")
        await ears.passes(0)
        assert {told.id.rstrip(b"-") for told in ears.notices._told.values()} == {b"work"}


async def test_with_nothing_to_come_there_is_no_timer(house: Opener) -> None:
    async with house() as h, listening(h) as ears:
        await without_renewal(h, "eternal", lifetime=0)
        await ears.begun()
        h.clock.pauses.clear()
        await ears.passes(HOUR)
        assert [pause for pause in h.clock.pauses if pause is not None] == []


async def test_a_note_that_was_put_back_is_no_reason_to_end(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        await h.vault.notes.write("notices", b"no list")
        await ends(h, "github")
    async with house(clock) as h, listening(h) as ears:
        await ears.begun()
        assert len(ears.titles) == 1


async def test_a_defect_in_telling_costs_no_more_than_that_telling(house: Opener) -> None:
    async with house() as h, listening(h, hooks=HOOKS) as ears:
        await h.adopt("github")
        await ears.begun()
        ears.defect = OSError(24, "too many open files")
        await ends(h, "github")
        await ears.passes(0)
        assert ears.notices.problem == "the last notice came to nothing by a defect; the daemon's log says where"
        ears.defect = None
        await ears.passes(2 * HOUR)
        assert [told["account"] for _, told in ears.hooks] == ["github"], "it is told again"
        assert ears.notices.problem == ""
