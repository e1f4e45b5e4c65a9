"""Who follows the audit log reads what is on the disk, as it gets there, across its files."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.lowlevel

from aixtiv_protocol import requests
from aixtiv_protocol.replies import AuditRecord
from peers.audits import CALLER, SMALL, desk, filled
from peers.clock import limit, settle


async def until(there: Callable[[], bool]) -> None:
    """Other tasks do their work meanwhile: the disk's thread announces nothing to a test."""
    async with limit(10):
        while not there():  # as said
            await anyio.lowlevel.checkpoint()


async def follow(records: AsyncIterator[AuditRecord], heard: list[AuditRecord]) -> None:
    async for record in records:
        heard.append(record)  # noqa: PERF401  # one by one, while a test looks


def numbers(records: list[AuditRecord]) -> list[int]:
    return [record.number for record in records]


async def test_who_follows_is_told_the_newest_and_then_whatever_happens_across_files(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here, anyio.create_task_group() as tasks:
        await filled(here, 4)
        heard: list[AuditRecord] = []
        tasks.start_soon(follow, here.records(requests.Audit(limit=2, follow=True)), heard)
        await until(lambda: numbers(heard) == [3, 4])
        await filled(here, 9, start=4)
        await until(lambda: len(heard) == 11)
        assert numbers(heard) == list(range(3, 14))
        await settle()
        tasks.cancel_scope.cancel()


async def test_who_follows_one_account_hears_of_no_other(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here, anyio.create_task_group() as tasks:
        heard: list[AuditRecord] = []
        tasks.start_soon(follow, here.records(requests.Audit(limit=0, account="mine", follow=True)), heard)
        await settle()
        await here.happened("mine", "other", "mine", "other", "mine")
        await until(lambda: len(heard) == 3)
        tasks.cancel_scope.cancel()
    assert [record.account for record in heard] == ["mine"] * 3


async def test_who_follows_hears_of_a_new_log_and_goes_on_with_it(folder: Path) -> None:
    async with desk(folder) as here, anyio.create_task_group() as tasks:
        await filled(here, 3)
        heard: list[AuditRecord] = []
        tasks.start_soon(follow, here.records(requests.Audit(limit=1, follow=True)), heard)
        await until(lambda: numbers(heard) == [3])
        await here.begin_anew(CALLER)
        await filled(here, 1)
        await until(lambda: numbers(heard) == [3, 1, 2])
        tasks.cancel_scope.cancel()


async def test_who_reads_slowly_misses_only_what_was_dropped_meanwhile(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=2) as here:
        await filled(here, 9)
        records = here.records(requests.Audit(limit=0, follow=True))
        assert (await anext(records)).number == 1
        await filled(here, 12, start=9)
        kept = (await here.all())[0].number
        rest = [(await anext(records)).number for _ in range(3)]
        assert rest[0] in {2, kept}
        await records.aclose()
