"""Work on the vault while no refresh is under way: none begins meanwhile, each afterwards, and never behind a stop."""

import asyncio

import anyio
import pytest

from aixtiv_protocol import requests
from aixtivd.errors import Locked, StoreFailed
from peers.clock import FakeClock, settle
from peers.house import House, Opener, granted


class Job:
    """Goes on until the test says so."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go_on = anyio.Event()

    async def __call__(self) -> str:
        self.begun.set()
        await self.go_on.wait()
        return "done"


async def due_in_a_job(h: House) -> tuple[Job, "asyncio.Task[str]"]:
    """A refresh falls due while a job is under way."""
    await h.adopt("github")
    h.script.answers = [granted(1)]
    job = Job()
    task = asyncio.create_task(h.accounts.at_rest(job))
    await job.begun.wait()
    h.clock.advance(3000)
    await settle()
    assert h.script.spent == []
    return job, task


async def test_what_falls_due_meanwhile_begins_afterwards(house: Opener) -> None:
    async with house(FakeClock()) as h:
        job, task = await due_in_a_job(h)
        assert await h.token("github") == "access-0", "which is still good, and served"
        job.go_on.set()
        assert await task == "done"
        await h.settle()
        assert h.script.spent == ["refresh-0"]
        assert await h.token("github") == "access-1"


async def test_a_job_waits_for_the_refresh_that_is_under_way(house: Opener) -> None:
    async with house(FakeClock()) as h:
        answer = await h.in_a_refresh()
        job = Job()
        task = asyncio.create_task(h.accounts.at_rest(job))
        await settle()
        assert not job.begun.is_set()
        answer.release.set()
        await job.begun.wait()
        assert (await h.stored("github")).refresh_token.reveal() == "refresh-1"  # type: ignore[union-attr]  # it has one
        job.go_on.set()
        await task


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_after_a_job_that_comes_to_nothing_refreshes_go_on(house: Opener, how: str) -> None:
    async with house(FakeClock()) as h:
        await h.adopt("github")
        h.script.answers = [granted(1)]

        async def failing() -> None:
            raise StoreFailed

        if how == "fails":
            with pytest.raises(StoreFailed):
                await h.accounts.at_rest(failing)
        else:
            job = Job()
            task = asyncio.create_task(h.accounts.at_rest(job))
            await job.begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-1"


async def test_who_hangs_up_while_a_refresh_is_waited_for_leaves_nothing_at_rest(house: Opener) -> None:
    async with house(FakeClock()) as h:
        answer = await h.in_a_refresh()
        task = asyncio.create_task(h.accounts.at_rest(Job()))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.release.set()
        await h.settle()
        h.script.answers = [granted(2)]
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-2"


async def test_a_stop_during_a_job_begins_no_refresh_behind_it(house: Opener) -> None:
    """One that began then would be cut before its answer came."""
    async with house(FakeClock()) as h:
        job, task = await due_in_a_job(h)
        await h.accounts.drain()
        job.go_on.set()
        await task
        await settle()
        h.clock.advance(1000)
        await h.settle()
        assert h.script.spent == []


async def test_a_lock_comes_before_or_after_a_job_and_not_in_between(house: Opener) -> None:
    async with house(FakeClock()) as h:
        job, task = await due_in_a_job(h)
        locking = asyncio.create_task(h.accounts.lock())
        await settle()
        assert not h.vault.locked
        job.go_on.set()
        assert await task == "done"
        await locking
        assert h.vault.locked
        with pytest.raises(Locked):
            await h.accounts.at_rest(job)
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("github") in {"access-0", "access-1"}


async def test_a_real_rotation_carries_the_accounts_over(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock) as h:
        await h.adopt("github")
        await h.accounts.at_rest(h.vault.rotate)
        h.script.answers = [granted(1)]
        clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-1"
    async with house(clock) as h:
        assert await h.token("github") == "access-1"
