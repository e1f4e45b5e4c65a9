"""A lock finishes what a provider was asked, and then forgets: in the accounts themselves."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.service import Accounts
from aixtivd.accounts.settling import Settling
from aixtivd.config import Config, VaultConfig
from aixtivd.errors import KeyFailed, Locked, SignInFailed, StoreFailed
from aixtivd.vault.keys.passphrase import CHEAP
from aixtivd.vault.rows import Row
from peers.authorization import Weather
from peers.clock import FakeClock
from peers.house import House, Opener, granted
from peers.logins import ask, at_a_provider, finished, login, started, visit


async def test_a_refresh_under_way_is_finished_and_sealed_before_the_lock(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github", 7)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.lock)
            await anyio.wait_all_tasks_blocked()
            assert not h.accounts.locked
            answer.release.set()
        assert h.accounts.locked
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("github") == "access-7"


async def test_a_sign_in_whose_code_is_at_the_provider_is_finished_before_the_lock(house: Opener) -> None:
    """Its tokens would be lost, and with them what the person did in the browser."""
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        server.set_weather(Weather(hang=True))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(visit, first.url)
            await server.until(hanging=1)
            tasks.start_soon(h.accounts.lock)
            await anyio.lowlevel.checkpoint()
            server.release()
        assert h.accounts.locked
        assert (await finished(stream)).subject == "ada"
        await h.accounts.unlock(requests.Unlock())
        assert server.grants.active(await h.token("corp"))


async def test_a_sign_in_that_waits_for_its_person_is_ended_with_a_sentence(house: Opener) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        await started(stream)
        await h.accounts.lock()
        with pytest.raises(SignInFailed, match="the vault has been locked"):
            await anext(stream)


async def test_a_lock_that_is_refused_ends_no_sign_in_and_refreshes_go_on(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_a_provider(house) as (h, server), login(h, ask(server)) as stream:
        first = await started(stream)
        with monkeypatch.context() as patch:
            patch.setattr(Settling, "only_in_memory", property(lambda _: ["github"]))
            with pytest.raises(StoreFailed, match="only in memory"):
                await h.accounts.lock()
        assert not h.accounts.locked
        assert not h.accounts._refresher._resting
        await visit(first.url)
        assert (await finished(stream)).subject == "ada"


async def test_who_waits_for_a_token_is_told_that_it_is_locked(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github")
        h.clock.advance(1000)  # it has expired
        failures: list[type] = []

        async def wait() -> None:
            try:
                await h.token("github", wait=600)
            except Locked as failure:
                failures.append(type(failure))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(h.accounts.lock)
            await anyio.wait_all_tasks_blocked()
            answer.outcome = granted(1, expires_in=-10)
            answer.release.set()
        assert h.accounts.locked
        assert failures in ([Locked], [])  # or it got the token that came


async def test_the_plan_and_the_queues_name_no_account_any_more(house: Opener) -> None:
    async with house() as h:
        for number in range(5):
            await h.adopt(f"account-{number}")
        await h.accounts.lock()
        assert h.accounts._refresher._heap == []
        assert not any(host.queue for host in h.accounts._hosts._hosts.values())
        await h.accounts.unlock(requests.Unlock())
        assert len(h.accounts._refresher._heap) == 5, "planned anew"


async def test_two_locks_and_an_unlock_that_meet_end_in_one_state(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        accounts: Accounts = h.accounts
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accounts.lock)
            tasks.start_soon(accounts.unlock, requests.Unlock())
            tasks.start_soon(accounts.lock)
        assert accounts.locked
        assert h.vault.locked


async def test_a_hang_up_does_not_cut_a_lock(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github", 3)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(h.accounts.lock)
                await anyio.wait_all_tasks_blocked()
                answer.release.set()
                scope.cancel()
        assert h.accounts.locked
        assert h.vault.locked


async def test_an_unlock_that_fails_half_way_leaves_the_vault_locked_and_no_other_passphrase_opens_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h = House(folder, FakeClock(), Config(vault=VaultConfig(key="passphrase")), real=False)
    monkeypatch.setattr(h.vault, "_cost", CHEAP)
    right, wrong = (requests.Unlock(passphrase=Secret(word)) for word in ("right", "wrong"))

    async def broken() -> list[Row]:
        raise StoreFailed

    await h.vault.open()
    async with anyio.create_task_group() as tasks:
        await tasks.start(h.accounts.run)
        await h.accounts.unlock(right)
        await h.adopt("github")
        await h.accounts.lock()
        with monkeypatch.context() as patch:
            patch.setattr(h.vault, "rows", broken)
            with pytest.raises(StoreFailed):
                await h.accounts.unlock(right)
        assert h.accounts.locked
        assert h.vault.locked
        with pytest.raises(KeyFailed):
            await h.accounts.unlock(wrong)
        with pytest.raises(Locked):
            await h.token("github")
        await h.accounts.unlock(right)
        assert await h.token("github") == "access-0"
        tasks.cancel_scope.cancel()
    await h.vault.aclose()
