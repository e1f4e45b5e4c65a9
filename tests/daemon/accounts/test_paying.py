"""Who pays for a relayed call: the token, and an API key only where D12 says so, and then it is said."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import anyio
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.credential import Credential
from aixtivd.config import ClaudeConfig, ProviderConfig
from aixtivd.errors import (
    Locked,
    NoAccount,
    Refused,
    SignInNeeded,
    Unreachable,
    WaitedTooLong,
)
from aixtivd.oauth.outcomes import Misconfigured, NeedsSignIn, TryAgain
from peers.house import Held, House, Opener, granted

KEY = Secret("sk-ant-api-of-the-caller")
SEALED = Secret("sk-ant-api-sealed")
ENDED = NeedsSignIn(reason="invalid_grant")


async def paid(h: House, name: str = "", **asked: Any) -> str:
    return (await h.accounts.credential(name, **asked)).secret.reveal()


async def seal(h: House, name: str = "anthropic", **more: Any) -> None:
    await h.accounts.api_key(requests.ApiKey(account=name, key=SEALED, **more))


async def refused(h: House, name: str = "anthropic") -> Credential:
    """The credential of a call that has just drawn a 401."""
    h.clock.advance(5)  # a token is not replaced in the very moment in which it came
    return await h.accounts.credential(name)


# Which account


async def test_a_relay_that_names_no_account_means_the_configs_then_anthropic_then_the_only_one_there(
    house: Opener,
) -> None:
    async with house() as h:
        assert h.accounts.relayed("") == "anthropic"
        await h.adopt("claude", provider="anthropic")
        assert h.accounts.relayed("") == "claude"
        await h.adopt("claude/work", provider="anthropic")
        with pytest.raises(NoAccount, match="claude and claude/work are all at anthropic"):
            h.accounts.relayed("")
        await h.adopt("anthropic")
        assert h.accounts.relayed("") == "anthropic"
        assert h.accounts.relayed("", lambda name: name == "claude") == "claude", "those it may not use are not there"
        assert h.accounts.relayed("", lambda name: False) == "anthropic", "as where there is none"
        h.accounts.reconfigure(h.config(claude=ClaudeConfig(account="claude/work")))
        assert h.accounts.relayed("") == "claude/work"
        assert h.accounts.relayed("github") == "github"


async def test_while_the_vault_is_locked_nothing_pays(house: Opener) -> None:
    async with house() as h:
        await h.accounts.lock()
        with pytest.raises(Locked):
            await h.accounts.credential("", key=KEY)


# The order


async def test_the_token_pays_before_any_key(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        found = await h.accounts.credential("", key=KEY)
        assert (found.form, found.kind, found.secret, found.note) == ("token", "oauth", Secret("access-0"), "")


async def test_without_an_account_the_key_that_came_with_the_call_pays_and_it_is_said(house: Opener) -> None:
    async with house() as h:
        found = await h.accounts.credential("", key=KEY)
        assert (found.account, found.provider, found.form, found.kind) == (
            "anthropic",
            "anthropic",
            "api-key",
            "api-key",
        )
        assert found.secret == KEY
        assert found.note == "an API key pays for anthropic: there is no account anthropic"
        assert found.generation == 0


async def test_an_account_that_is_only_a_key_pays_with_its_own_and_says_nothing(house: Opener) -> None:
    async with house() as h:
        await seal(h)
        found = await h.accounts.credential("", key=KEY, fallback="none")
        assert (found.secret, found.note) == (SEALED, "")


async def test_a_dead_grant_lets_the_accounts_own_key_pay_before_the_callers(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [ENDED]
        h.clock.sleep(4000)
        found = await h.accounts.credential("", key=KEY)
        assert found.secret == SEALED
        assert "the provider has ended this sign-in" in found.note


async def test_without_any_key_the_failure_says_what_to_do(house: Opener) -> None:
    async with house() as h:
        with pytest.raises(NoAccount) as raised:
            await h.accounts.credential("")
        assert raised.value.hint == "aixtiv api-key set anthropic, or aixtiv login anthropic"


@pytest.mark.parametrize("fallback", ["", "api-key"])
async def test_a_token_endpoint_that_cannot_be_reached_lets_no_key_pay(house: Opener, fallback: Any) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.clock.sleep(4000)
        with pytest.raises(Unreachable):
            await h.accounts.credential("", key=KEY, fallback=fallback, wait=0.5)


async def test_a_refresh_that_takes_too_long_lets_no_key_pay(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        answer = Held(granted(1))
        h.script.answers = [answer]
        h.clock.sleep(4000)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(WaitedTooLong):
                    await h.accounts.credential("", key=KEY, wait=3)

            tasks.start_soon(ask)
            await answer.asked.wait()
            h.clock.advance(4)
        answer.release.set()
        await h.settle()


async def test_with_fallback_none_the_sentence_says_that_a_key_is_there(house: Opener) -> None:
    async with house(claude=ClaudeConfig(fallback="none")) as h:
        with pytest.raises(NoAccount, match="an API key is there, but may not be used"):
            await h.accounts.credential("", key=KEY)
        with pytest.raises(NoAccount, match="an API key is there, but may not be used"):  # a caller cannot loosen it
            await h.accounts.credential("", key=KEY, fallback="api-key")
    async with house() as h:
        with pytest.raises(NoAccount, match="an API key is there, but may not be used"):  # but tighten
            await h.accounts.credential("", key=KEY, fallback="none")


# After an upstream 401


async def test_a_hundred_callers_that_were_refused_cost_one_refresh_and_all_get_the_new_token(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        old = await refused(h)
        answer = Held(granted(1))
        h.script.answers = [answer]
        got: list[str] = []

        async def call() -> None:
            got.append(await paid(h, "anthropic", refused=old))

        async with anyio.create_task_group() as callers:
            for _ in range(100):
                callers.start_soon(call)
            await answer.asked.wait()
            answer.release.set()
        assert got == ["access-1"] * 100
        assert await paid(h, "anthropic", refused=old) == "access-1"  # one that comes late
        assert h.script.spent == ["refresh-0"]


async def test_a_token_that_replaced_a_refused_one_and_is_refused_too_lets_the_key_pay(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [granted(1), granted(2)]
        first = await refused(h)
        second = await h.accounts.credential("anthropic", refused=first)
        third = await h.accounts.credential("anthropic", refused=second)
        assert (second.form, third.form, third.secret) == ("token", "api-key", SEALED)
        assert h.script.spent == ["refresh-0"]
        assert await paid(h) == SEALED.reveal(), "the next call does not try what is known to be refused"
        h.clock.advance(301)
        assert await paid(h) == "access-1", "but not for ever"


@pytest.mark.parametrize("status", [200, 302, 429])
async def test_a_401_to_one_call_is_no_verdict_about_a_token_that_the_api_takes(house: Opener, status: int) -> None:
    """Some paths take no tokens: who asks there must not have the key pay for everybody."""
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [granted(1), granted(2), granted(3)]
        first = await refused(h)
        h.accounts.answered(first, status)
        second = await h.accounts.credential("anthropic", refused=first)
        assert second.secret.reveal() == "access-1"
        assert await paid(h, "anthropic", refused=second) == SEALED.reveal(), "for that call"
        assert await h.accounts.credential("anthropic", refused=second, fallback="none") is second, (
            "its 401 is the answer"
        )
        assert await paid(h) == "access-1", "and no other"
        assert h.script.spent == ["refresh-0"]

        h.clock.advance(301)  # for so long nothing was taken: then it is the token's
        third = await h.accounts.credential("anthropic", refused=second)
        assert await paid(h, "anthropic", refused=third) == SEALED.reveal()


@pytest.mark.parametrize("status", [401, 404, 503])
async def test_what_an_api_may_say_before_it_has_read_a_token_speaks_for_none(house: Opener, status: int) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [granted(1)]
        first = await refused(h)
        h.accounts.answered(first, status)
        second = await h.accounts.credential("anthropic", refused=first)
        assert await paid(h, "anthropic", refused=second) == SEALED.reveal()


async def test_a_token_that_is_taken_again_pays_again_at_once(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [ENDED]
        old = await refused(h)
        assert await paid(h, "anthropic", refused=old) == SEALED.reveal()
        h.accounts.answered(await h.accounts.credential(""), 200)  # the key's good answer says nothing of the token
        assert await paid(h) == SEALED.reveal()
        h.accounts.answered(old, 200)
        assert await paid(h) == "access-0"


async def test_a_token_that_was_taken_and_is_then_revoked_lets_the_key_pay_where_no_new_one_is_to_be_had(
    house: Opener,
) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        await seal(h)
        h.script.answers = [ENDED]
        old = await refused(h)
        h.accounts.answered(old, 200)
        assert await paid(h, "anthropic", refused=old) == SEALED.reveal()


async def test_a_refused_token_without_a_key_is_an_error_and_served_again_afterwards(house: Opener) -> None:
    """The 401 is then the caller's answer; whether the token is good, the next call finds out."""
    async with house() as h:
        await h.adopt("anthropic")
        h.script.answers = [ENDED]
        with pytest.raises(SignInNeeded) as raised:
            await h.accounts.credential("anthropic", refused=await refused(h))
        assert raised.value.hint == "aixtiv login anthropic"
        assert await paid(h) == "access-0"


@pytest.mark.parametrize("outcome", [ENDED, Misconfigured(reason="invalid_client")])
async def test_a_refresh_that_brings_nothing_better_lets_the_key_pay(house: Opener, outcome: Any) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        h.script.answers = [outcome]
        assert await paid(h, "anthropic", key=KEY, refused=await refused(h)) == KEY.reveal()
        assert await paid(h, "anthropic", key=KEY) == KEY.reveal()


async def test_where_nothing_can_be_refreshed_the_key_pays_at_once(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        entry = h.accounts._book.named("anthropic")
        entry.stopped = True
        found = await h.accounts.credential("anthropic", key=KEY, refused=await refused(h))
        assert found.secret == KEY
        assert "the API does not take the token of anthropic" in found.note
        assert h.script.spent == []


async def test_a_401_while_the_token_endpoint_is_down_goes_up_and_no_key_pays(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        h.script.answers = [TryAgain(reason="cannot be reached")] * 5
        with pytest.raises(Unreachable):
            await h.accounts.credential("anthropic", key=KEY, wait=0.5, refused=await refused(h))


async def test_after_a_refused_key_comes_nothing(house: Opener) -> None:
    async with house() as h:
        await seal(h)
        with pytest.raises(Refused, match="does not take the key of anthropic"):
            await h.accounts.credential("anthropic", key=KEY, refused=await h.accounts.credential(""))


async def test_a_newer_sign_in_is_the_answer_to_a_refusal_of_the_old_token(house: Opener) -> None:
    async with house() as h:
        await h.adopt("anthropic")
        old = await refused(h)
        h.script.answers = [granted(1)]
        await h.accounts.refresh(requests.Refresh(account="anthropic"))
        assert await paid(h, "anthropic", refused=old) == "access-1"
        assert h.script.spent == ["refresh-0"]


# It is said


async def test_whenever_another_credential_pays_it_is_an_event_and_in_the_audit(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        audited: list[tuple[str, str, bool]] = []
        monkeypatch.setattr(
            h.audit, "note", lambda what, caller, **more: audited.append((what, caller.program, more["ok"]))
        )
        await h.adopt("anthropic")
        await seal(h)
        watching = cast("AsyncGenerator[replies.Event, None]", h.accounts.watch())
        async with aclosing(watching), anyio.create_task_group() as tasks:
            told: list[str] = []

            async def listen() -> None:
                async for event in watching:
                    told.extend([event.detail] if event.event == "paying" else [])

            tasks.start_soon(listen)
            await h.settle()
            await paid(h)
            h.script.answers = [ENDED]
            old = await refused(h)
            await paid(h, "anthropic", refused=old)
            await paid(h)
            h.script.answers = [granted(1)]
            await h.accounts.refresh(requests.Refresh(account="anthropic"))
            await paid(h)
            await h.settle()
            tasks.cancel_scope.cancel()
        assert [detail.partition(":")[0] for detail in told] == [
            "an API key pays for anthropic",
            "its own oauth pays again",
        ]
        assert audited.count(("paying", "aixtivd", True)) == 2
        assert ("oauth2_token_error", "aixtivd", False) in audited
        assert ("refresh", "aixtivd", True) in audited


async def test_an_account_called_claude_is_at_anthropic(house: Opener) -> None:
    async with house() as h:
        await seal(h, "claude")
        assert (await h.accounts.credential("")).provider == "anthropic"
    async with house(provider={"claude": ProviderConfig()}) as h:
        await seal(h, "claude/other")
        assert (await h.accounts.credential("claude/other")).provider == "claude"
