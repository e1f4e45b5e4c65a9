"""The audit log in several files: one chain across them, the oldest dropped on purpose, and read as one."""

import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import logbook
from aixtivd.access.audit import Audit
from aixtivd.config import AuditConfig
from peers.audits import CALLER, SMALL, desk, filled, lines, older, shown
from peers.clock import FakeClock, limit
from peers.disks import small_disk
from peers.vaults import crashed, opened


def refused(first: int) -> str:
    raise PermissionError(13, "no")


async def follow(records: AsyncIterator[AuditRecord], heard: list[AuditRecord]) -> None:
    async for record in records:
        heard.append(record)  # noqa: PERF401  # one by one, while a test looks


def numbers(records: list[AuditRecord]) -> list[int]:
    return [record.number for record in records]


async def unsealed(*, locking: bool = False) -> None:
    pass


async def until(there: Callable[[], bool]) -> None:
    """Other tasks do their work meanwhile: the disk's thread announces nothing to a test."""
    async with limit(10):
        while not there():  # as said
            await anyio.lowlevel.checkpoint()


def names(folder: Path) -> list[str]:
    return [path.name for path in older(folder)]


async def test_a_full_file_gets_its_name_and_the_next_goes_on_with_numbers_and_chain(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 8)
        assert names(folder) == ["audit.log.from-0000000001", "audit.log.from-0000000004"]
        assert [shown(line)["number"] for line in lines(folder)] == [7, 8]
        assert await here.told() == [f"a{number}" for number in range(8)]
        assert await here.verify() == replies.AuditVerdict(intact=True, records=8)
    assert {stat.S_IMODE(path.stat().st_mode) for path in older(folder)} == {0o600}
    async with desk(folder, limit=SMALL) as again:
        await filled(again, 2, start=8)
        assert await again.verify() == replies.AuditVerdict(intact=True, records=10)


async def test_the_newest_records_are_found_across_files(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        for number in range(20):
            await here.happened(f"a{number % 3}")
        every = await here.all()
        for wanted in (1, 2, 3, 4, 7, 19, 20, 50):
            assert await here.all(limit=wanted) == every[-wanted:]
            of_one = [record for record in every if record.account == "a1"]
            assert await here.all(limit=wanted, account="a1") == of_one[-wanted:]


async def test_usage_counts_what_stands_in_older_files(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        for _ in range(9):
            here.note("relay", CALLER, account="anthropic", status=200, sent=10)
            await here.flush()
        assert len(older(folder)) > 1
        (row,) = (await here.usage(requests.Usage())).rows
        assert (row.calls, row.sent) == (9, 90)


async def test_the_oldest_is_dropped_and_a_record_says_so(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=2) as here:
        await filled(here, 10)
        assert names(folder) == ["audit.log.from-0000000004", "audit.log.from-0000000007"]
        told = await here.told()
        assert told[:7] == ["a3", "a4", "a5", "a6", "a7", "a8", "records 1 to 3 were dropped: audit.files is 2"]
        verdict = await here.verify()
        assert (verdict.intact, verdict.first, verdict.records) == (True, 4, len(told))
    async with desk(folder, limit=SMALL, files=2) as again:
        assert await again.verify() == verdict


async def test_where_none_is_kept_only_the_one_that_is_written_is_there(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=0) as here:
        await filled(here, 9)
        assert names(folder) == []
        assert (await here.verify()).intact
        assert (await here.all())[0].number > 3


async def test_fewer_files_in_a_new_config_drop_the_rest_at_the_next_turn(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 13)
        assert len(older(folder)) == 4
        here.reconfigure(AuditConfig(files=1))
        here._book.limit = SMALL
        await filled(here, 3)
        assert len(older(folder)) == 1
        assert (await here.verify()).intact


async def test_the_config_says_how_large_a_file_becomes(folder: Path) -> None:
    async with opened(folder) as vault:
        audit = Audit(folder, vault, FakeClock(), AuditConfig(size=1, files=1))
        for _ in range(3):
            for _ in range(2000):
                audit.note("token", CALLER, detail="x" * 390)
            await audit.flush()
        (one,) = older(folder)
        assert 1 << 20 <= one.stat().st_size < 2 << 20
        assert (await audit.verify()).intact


async def test_while_locked_a_file_grows_and_the_next_begins_after_the_unlock(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 2)
        await here.lock()
        await filled(here, 8, start=2)
        assert names(folder) == []
        await here.vault.unlock()
        await here.unlocked()
        await filled(here, 2, start=10)
        assert names(folder) == ["audit.log.from-0000000001"]
        verdict = await here.verify()
        assert (verdict.intact, verdict.plain) == (True, 8)


async def test_a_daemon_that_begins_locked_goes_on_behind_the_newest_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it was killed between the rename and the first line of the next file."""
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 6)
        await here._book.turn()
    assert not (folder / "audit.log").exists()
    async with desk(folder, limit=SMALL) as locked:
        await locked.vault.lock()
        await locked.happened("mine")
        assert await locked.told() == [*(f"a{number}" for number in range(6)), "mine"]
        await locked.vault.unlock()
        await locked.unlocked()
        verdict = await locked.verify()
        assert (verdict.intact, verdict.records, verdict.plain) == (True, 8, 1)


async def test_a_note_of_a_log_in_one_file_is_read_as_it_was_sealed(folder: Path) -> None:
    async with desk(folder) as here:
        await filled(here, 3)
        head = here._book._sealed
        assert head
        old = logbook._pack.encode([head.number, head.digest, head.size, head.open])
        await here.vault.notes.write("audit", old)
    async with desk(folder, limit=SMALL) as again:
        await filled(again, 3, start=3)
        assert names(folder) == ["audit.log.from-0000000001"]
        assert await again.verify() == replies.AuditVerdict(intact=True, records=6)


async def test_where_the_next_file_cannot_begin_the_log_goes_on_in_this_one_and_it_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 3)
        monkeypatch.setattr(here._book.shelf, "begin_next", refused)
        await filled(here, 3, start=3)
        assert here.problem == f"the audit log {here.path} cannot begin its next file: permission denied"
        assert await here.told() == [f"a{number}" for number in range(6)]
        verdict = await here.verify()
        assert (verdict.intact, verdict.problem) == (True, here.problem)
        monkeypatch.undo()
        await filled(here, 1, start=6)
        assert (here.problem, names(folder)) == ("", ["audit.log.from-0000000001"])
        assert await here.verify() == replies.AuditVerdict(intact=True, records=7)


@pytest.mark.parametrize("more", [0, 2])
async def test_killed_before_the_rename_a_start_takes_the_file_for_the_one_that_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """`more`: lines that were written into it all the same, since the rename had failed, and not sealed any more."""
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 6)
        monkeypatch.setattr(here._book.shelf, "begin_next", refused)
        await here._book.turn()
        monkeypatch.setattr(here._book, "seal", unsealed)
        await filled(here, more, start=6)
        copy = crashed(folder)
    assert names(copy) == ["audit.log.from-0000000001"]
    async with desk(copy, limit=SMALL) as again:
        await filled(again, 2, start=6 + more)
        assert names(copy) == ["audit.log.from-0000000001", "audit.log.from-0000000004"]
        assert [told for told in await again.told() if told[0] == "a"] == [f"a{number}" for number in range(8 + more)]
        assert (await again.verify()).intact


async def test_a_file_that_was_dropped_and_not_removed_is_removed_at_the_next_start(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=1) as here:
        await filled(here, 4)
        (first,) = older(folder)
        content = first.read_bytes()
        await filled(here, 6, start=4)
        assert not first.exists()
    first.write_bytes(content)
    async with desk(folder, limit=SMALL, files=1) as again:
        assert (await again.verify()).intact
    assert not first.exists()


async def test_what_stands_in_the_way_of_a_name_is_put_aside_and_said(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 2)
        (folder / "audit.log.from-0000000001").write_bytes(b"something\n")
        (folder / "audit.log.from-0000000001.foreign").mkdir()
        await filled(here, 4, start=2)
        aside = folder / "audit.log.from-0000000001.foreign-2"
        assert aside.read_bytes() == b"something\n"
        assert f"what was in the way of a file of the log is {aside.name} now" in await here.told()
        assert (await here.verify()).intact


async def test_a_new_log_puts_all_files_aside_under_one_name(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 8)
        before = [path.read_bytes() for path in (*older(folder), here.path)]
        said = await here.begin_anew(CALLER)
        aside = folder / f"audit.log.before-{int(here.clock.wall())}"
        assert said == f"a new audit log begins; the one before it is {aside}"
        moved = [folder / f"{aside.name}.from-000000000{first}" for first in (1, 4)]
        assert [path.read_bytes() for path in (*moved, aside)] == before
        assert names(folder) == []
        (first,) = await here.all()
        assert (first.number, "which ends with record 8 and is whole" in first.detail) == (1, True)
        await filled(here, 5)
        assert await here.verify() == replies.AuditVerdict(intact=True, records=6)
        await here.begin_anew(CALLER)
        assert [path.read_bytes() for path in (*moved, aside)] == before, "the second one has a name of its own"


async def test_the_files_of_another_store_are_put_aside(folder: Path) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 8)
    for name in ("store.db", "key"):
        (folder / name).unlink()
    async with desk(folder, limit=SMALL) as anew:
        await anew.happened("anew")
        assert await anew.told() == ["a log of another store was here: it is audit.log.before-1800000000 now", "anew"]
        assert (await anew.verify()).intact
    assert names(folder) == []


async def test_on_a_full_disk_files_go_on_being_turned_and_nothing_is_lost(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with desk(disk.home, limit=SMALL, files=1000) as here:
            await filled(here, 10)
            disk.fill()
            for number in range(10, 60):
                await here.happened(f"a{number}")
            disk.make_room()
            await here.flush()
            assert here.problem == ""
            assert await here.told() == [f"a{number}" for number in range(60)]
            assert await here.verify() == replies.AuditVerdict(intact=True, records=60)


async def test_verifying_while_files_are_turned_and_dropped_finds_nothing_wrong(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=2) as here, anyio.create_task_group() as tasks:
        await filled(here, 9)

        async def go_on() -> None:
            await filled(here, 60, start=9)
            tasks.cancel_scope.cancel()

        tasks.start_soon(go_on)
        while True:
            assert (await here.verify()).intact
            await anyio.lowlevel.checkpoint()
