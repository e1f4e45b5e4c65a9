"""What happens to an account while a source is asked for its first token, and at its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.requests import Command
from aixtivd.errors import AixtivError, BadRequest, NoAccount, SignInFailed, StoreFailed
from peers.house import House, Opener
from peers.logins import ask, at_a_provider, sign_in
from peers.sourced import at, bind, by_rule, federated, printing


@asynccontextmanager
async def asked_meanwhile(h: House, folder: Path, failures: list[AixtivError], *, replace: bool) -> AsyncIterator[None]:
    """Within, a command is asked for the first token of `corp`; its answer comes at the end."""
    asked, go = folder / "asked", folder / "go"
    slow = printing(folder, f"touch {asked}; while ! test -e {go}; do sleep 0.01; done; echo slow", "slow")

    async def binding() -> None:
        try:
            await bind(h, Command(command=slow), "corp", "corp", replace=replace)
        except AixtivError as failure:
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(binding)
        while not await anyio.to_thread.run_sync(asked.exists):
            await anyio.lowlevel.checkpoint()
        yield
        await anyio.to_thread.run_sync(go.touch)


@pytest.mark.parametrize("replace", [False, True])
async def test_a_sources_answer_takes_no_place_of_a_sign_in_that_finished_meanwhile(
    house: Opener, folder: Path, replace: bool
) -> None:
    """Not with --replace either: who typed that did not know of it."""
    failures: list[AixtivError] = []
    async with at_a_provider(house) as (h, server):
        async with asked_meanwhile(h, folder, failures, replace=replace):
            await sign_in(h, ask(server))
        assert [type(failure) for failure in failures] == [SignInFailed]
        assert "of the kind oauth, and this would be command" in failures[0].sentence
        assert (await h.stored("corp")).kind == "oauth"


async def test_a_sources_answer_takes_no_place_of_another_sign_in_than_the_one_it_was_to_replace(
    house: Opener, folder: Path
) -> None:
    failures: list[AixtivError] = []
    async with at_a_provider(house) as (h, server):
        await bind(h, Command(command=printing(folder, "echo fast", "fast")), "corp", "corp")
        h.clock.advance(5)
        async with asked_meanwhile(h, folder, failures, replace=True):
            await sign_in(h, ask(server, replace=True))
        assert [failure.sentence for failure in failures] == [
            "another sign-in to corp finished while its new source was asked"
        ]
        assert (await h.stored("corp")).kind == "oauth"


async def test_a_sources_answer_brings_no_account_back_that_was_signed_out_meanwhile(
    house: Opener, folder: Path
) -> None:
    failures: list[AixtivError] = []
    async with house() as h:
        await bind(h, Command(command=printing(folder, "echo fast", "fast")), "corp", "corp")
        async with asked_meanwhile(h, folder, failures, replace=False):
            await h.accounts.logout(requests.Logout(account="corp"))
        assert [failure.sentence for failure in failures] == ["corp was signed out while its new source was asked"]
        assert await h.vault.rows() == []
        with pytest.raises(NoAccount):
            await h.token("corp")


async def test_the_same_source_twice_at_once_is_no_conflict(house: Opener, folder: Path) -> None:
    command = printing(folder, "echo token")
    async with house() as h, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lambda: bind(h, Command(command=command), "corp", "corp"))


async def test_two_accounts_that_are_bound_at_once_feed_no_circle(
    house: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with federated(house) as (h, _, how):
        await bind(h, by_rule(identity_account="corp"), "one", **at(how))
        ask_source = h.accounts._sources.ask

        async def meanwhile(grant: object) -> object:
            """Between the look before and the turn, `corp` comes to live on `one`."""
            tokens = await ask_source(grant)  # type: ignore[arg-type]  # as it came
            corp = h.accounts._book.named("corp")
            corp.grant = msgspec.structs.replace(corp.grant, source=by_rule(identity_account="one"))
            return tokens

        monkeypatch.setattr(h.accounts._sources, "ask", meanwhile)
        with pytest.raises(BadRequest, match="would come from"):
            await bind(h, by_rule(identity_account="corp"), "one", **at(how))


async def test_a_logout_that_cannot_be_written_revokes_nothing(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:
        await h.adopt("github")

        async def full() -> None:
            raise StoreFailed("the store is full")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(h.vault.journal, "probe", full)
            with pytest.raises(StoreFailed):
                await h.accounts.logout(requests.Logout(account="github"))
        assert h.script.revoked == []
        assert await h.token("github") == "access-0"
        await h.accounts.logout(requests.Logout(account="github"))
        assert h.script.revoked == ["refresh-0", "access-0"]
