"""What keeps a daemon, and what it says to who waits when it ends."""

import anyio
import anyio.lowlevel
import pytest

from aixtivd.accounts.work import Work
from aixtivd.errors import AixtivError, Busy
from peers.clock import limit
from peers.house import Opener, granted


async def ended(h: object, waiting: str, results: list[str | AixtivError]) -> None:
    try:
        results.append(await h.token(waiting, min_ttl=1800))  # type: ignore[attr-defined]  # a House
    except AixtivError as failure:
        results.append(failure)


async def test_who_waits_for_what_will_not_begin_is_told_to_ask_again_and_not_before_the_doors_are_shut(
    house: Opener,
) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github")
        await h.adopt("other")
        h.clock._steady += 3000
        results: list[str | AixtivError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.drain)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(ended, h, "other", results)
            await anyio.wait_all_tasks_blocked()
            answer.release.set()
            await h.settle()
            assert results == []
            h.accounts.dismiss()
        (told,) = results
        assert isinstance(told, Busy)
        assert told.failure().retry
        assert not told.failure().retry_after
        with pytest.raises(Busy):
            await h.token("other", min_ttl=1800)
        assert await h.token("github", min_ttl=1800) == "access-1"


async def test_who_waits_for_what_is_under_way_gets_it(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh("github")
        results: list[str | AixtivError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ended, h, "github", results)
            tasks.start_soon(h.accounts.drain)
            await anyio.wait_all_tasks_blocked()
            answer.release.set()
            await h.settle()
            h.accounts.dismiss()
        assert results == ["access-1"]


async def test_a_planned_refresh_is_due_and_what_never_ends_is_not(house: Opener) -> None:
    async with house() as h:
        assert not h.accounts.due()
        await h.adopt("static", lifetime=0)
        assert not h.accounts.due()
        await h.adopt("github")
        h.script.answers = [granted(1)]
        assert h.accounts.due()


async def test_a_refresh_under_way_is_due(house: Opener) -> None:
    async with house() as h:
        answer = await h.in_a_refresh()
        assert h.accounts.due()
        answer.release.set()


async def test_everyone_who_waits_for_a_refresh_is_woken_by_its_end(house: Opener) -> None:
    """Work at rest, as a lock has it, and the end of the daemon behind it."""
    async with house() as h:
        answer = await h.in_a_refresh("github")
        async with limit(10), anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.at_rest, anyio.lowlevel.checkpoint)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(h.accounts.drain)
            await anyio.wait_all_tasks_blocked()
            answer.release.set()


async def test_everyone_who_waits_for_open_work_is_woken_by_its_end() -> None:
    work, over = Work(), anyio.Event()
    async with limit(10), anyio.create_task_group() as tasks:
        work.begin(tasks)
        tasks.start_soon(work.run, over.wait)
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            tasks.start_soon(work.idle)
            await anyio.wait_all_tasks_blocked()
        over.set()
    assert not work.busy
