"""Another name for an account: nothing of it is lost, whatever knows it by its name."""

from typing import Any

import anyio
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.requests import ClientSettings, Federation
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import grant as grants
from aixtivd.accounts.grant import Grant, from_row
from aixtivd.accounts.renaming import renamed
from aixtivd.config import AccessConfig, AccountConfig, ApiConfig, ClaudeConfig, McpConfig, Rule
from aixtivd.errors import BadRequest, Busy, Locked, NoAccount, StoreFailed
from aixtivd.oauth.outcomes import NeedsSignIn, TryAgain
from aixtivd.vault.rows import Relabelled
from peers.clock import FakeClock
from peers.house import House, Opener, granted


async def rename(h: House, name: str, to: str) -> str:
    return (await h.accounts.rename(requests.Rename(account=name, to=to))).note


async def test_it_is_the_same_account_under_another_name(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        before = await h.adopt("github")
        changed = await h.accounts.rename(requests.Rename(account="github", to="github/work"))
        assert (changed.account.name, changed.account.generation, changed.note) == ("github/work", 2, "")
        assert await h.stored("github/work") == msgspec.structs.replace(before, name="github/work", generation=2)
        assert await h.token("github/work") == "access-0"
        with pytest.raises(NoAccount):
            await h.token("github")
    async with house(clock) as again:
        assert [account.name for account in again.accounts.states()] == ["github/work"]
        assert again.script.spent == []


async def test_it_goes_on_being_refreshed(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await rename(h, "github", "work")
        h.script.answers = [granted(1)]
        h.clock.advance(3000)
        await h.settle()
        assert h.script.spent == ["refresh-0"]
        assert await h.token("work") == "access-1"


async def test_an_open_refresh_is_waited_for_and_its_pair_is_kept(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github", 5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rename, h, "github", "work")
            await anyio.wait_all_tasks_blocked()
            assert h.state("github").name == "github", "its answer is on its way"
            answer.release.set()
        assert await h.token("work") == "access-5"
        assert (await h.stored("work")).refresh_token == Secret("refresh-5")


async def test_a_caller_who_comes_while_it_is_renamed_is_told_what_came_of_it(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [TryAgain(reason="down")]
        h.clock.advance(3700)
        await h.settle()
        real, go = h.vault.journal.relabel, anyio.Event()

        async def slow(relabelled: Relabelled) -> None:
            await go.wait()
            await real(relabelled)

        monkeypatch.setattr(h.vault.journal, "relabel", slow)
        told: list[str] = []

        async def wait() -> None:
            with pytest.raises(NoAccount) as caught:
                await h.token("github")
            told.append(caught.value.sentence)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rename, h, "github", "work")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert told == []
            go.set()
        assert told == ["there is no account github"]


async def test_a_maybe_spent_token_goes_on_being_counted(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github", punishes_reuse=True)
        h.script.answers = [TryAgain(reason="lost", maybe_spent=True)]
        h.clock.advance(3000)
        await h.settle()
        await rename(h, "github", "work")
        (intent,) = await h.vault.journal.intents()
        assert (intent.generation, intent.attempts) == (2, 1)
        state = h.state("work")
        assert (state.state, state.problem, state.hint) == ("failing", "work: lost", "aixtiv refresh work")
        h.script.answers = [TryAgain(reason="lost", maybe_spent=True)]
        h.clock.advance(400)
        await h.settle()
        assert h.script.spent == ["refresh-0", "refresh-0"]
        assert h.state("work").state == "quarantined", "two lost answers are the most where a reuse is punished"


async def test_earlier_generations_stay_and_none_is_pushed_out(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        for number in (1, 2, 3):
            h.script.answers = [granted(number)]
            await h.accounts.refresh(requests.Refresh(account="github"))
            h.clock.advance(5)
        ids = (await h.stored("github")).id
        before = [from_row(row) for row in await h.vault.journal.kept(ids)]
        await rename(h, "github", "work")
        after = [from_row(row) for row in await h.vault.journal.kept(ids)]
        assert after == [msgspec.structs.replace(grant, name="work") for grant in before]
        assert len(after) == 3


async def test_why_it_is_put_aside_says_the_new_name(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [NeedsSignIn(reason="over")]
        h.clock.advance(3000)
        await h.settle()
        await rename(h, "github", "work")
        state = h.state("work")
        assert (state.problem, state.hint) == (
            "work: the provider has ended this sign-in: over",
            "aixtiv login work",
        )


async def fed(h: House, name: str, by: str) -> Grant:
    """An account that lives by another one's identity, without its server."""
    now = await h.adopt(name)
    entry = h.accounts._book.named(name)
    source = Federation(rule="r", identity_account=by)
    new = msgspec.structs.replace(now, source=source, generation=now.generation + 1, refresh_token=None)
    await h.accounts._settling.adopt(entry, now, new)
    return new


async def test_accounts_that_live_by_its_identity_live_on(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("okta")
        before = await fed(h, "claude", "okta")
        assert await rename(h, "okta", "company") == "claude gets tokens by the identity of company"
        after = await h.stored("claude")
        assert after.source == Federation(rule="r", identity_account="company")
        assert after.generation == before.generation + 1
    async with house(clock) as again:
        assert (await again.stored("claude")).source == after.source
        assert (await again.stored("company")).name == "company"


async def test_what_lived_by_an_account_that_was_called_so_is_told_of(house: Opener) -> None:
    async with house() as h:
        await h.adopt("okta")
        await h.adopt("corp")
        await fed(h, "claude", "okta")
        await h.accounts.logout(requests.Logout(account="okta"))
        assert await rename(h, "corp", "okta") == "claude gets tokens by the identity of okta"


async def test_the_config_that_names_it_is_told_of(house: Opener) -> None:
    config: dict[str, Any] = {
        "default_account": "github",
        "claude": ClaudeConfig(account="github"),
        "access": AccessConfig(relay_only=("git*",)),
        "rule": (Rule(accounts=("*",)), Rule(accounts=("github", "gitlab"))),
        "account": {"github": AccountConfig(), "work": AccountConfig()},
        "mcp": {
            "github": McpConfig(url="https://a.example"),
            "tools": McpConfig(url="https://b.example", account="github"),
        },
    }
    async with house(None, **config) as h:
        await h.adopt("github")
        assert await rename(h, "github", "work") == (
            "the config says github in default-account and claude.account and account.github and mcp.github"
            " and mcp.tools and access.relay-only and rule 2: change it there, then aixtiv reload"
        )


async def test_what_cannot_be_renamed_stays_as_it_is(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        await h.adopt("work")
        for name, to, failure in (
            ("github", "work", BadRequest),
            ("github", "github", BadRequest),
            ("github", "no name", BadRequest),
            ("github", "sk-ant-api03-abcdefghijklmnop", BadRequest),
            ("nobody", "somebody", NoAccount),
        ):
            with pytest.raises(failure):
                await rename(h, name, to)
        assert [account.name for account in h.accounts.states()] == ["github", "work"]
        assert (await h.stored("github")).generation == 1
        await h.accounts.lock()
        with pytest.raises(Locked):
            await rename(h, "github", "other")


async def test_a_credential_goes_nowhere_else_by_its_name(house: Opener) -> None:
    async with house(None, api={"evil": ApiConfig(origin="https://evil.example")}) as h:
        await h.adopt("work", provider="anthropic")
        with pytest.raises(BadRequest, match="does not go elsewhere by its name"):
            await rename(h, "work", "evil")
        assert [account.name for account in h.accounts.states()] == ["work"]


async def test_an_open_sign_in_would_bring_the_name_back(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        settings = ClientSettings(
            client_id="c",
            client_secret=Secret("s"),
            authorization_endpoint="https://a.example/a",
            token_endpoint="https://a.example/t",
        )
        asked = requests.Login(account="github", provider="github", settings=settings, replace=True)
        started = h.accounts.login(asked)
        await anext(started)
        with pytest.raises(Busy, match="a sign-in to github is open"):
            await rename(h, "github", "work")
        h.accounts._sign_ins.abandon("the test is over")
        await rename(h, "github", "work")
        await started.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_store_that_cannot_be_written_changes_nothing(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]

        async def full(*_: object) -> None:
            await anyio.lowlevel.checkpoint()
            raise StoreFailed("no room")

        with monkeypatch.context() as patched:
            patched.setattr(h.vault.journal, "relabel", full)
            with pytest.raises(StoreFailed):
                await rename(h, "github", "work")
        assert await h.token("github") == "access-0"
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-1", "it is refreshed as before"


def test_only_what_is_the_name_is_renamed() -> None:
    grant = Grant(id=b"", name="github", provider="github", quarantined="github: the provider github is over")
    assert renamed(grant, "github", "x") == msgspec.structs.replace(
        grant, name="x", quarantined="x: the provider github is over"
    )
    other = Grant(id=b"", name="gitlab", provider="github", quarantined="gitlab: github")
    assert renamed(other, "github", "x") == other
    assert grants.another(grant).generation == grant.generation + 1
