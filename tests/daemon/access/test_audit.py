"""The audit log: what is noted is written soon, in order, sealed, and in nobody's way."""

import stat
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aixtiv_protocol import replies
from aixtivd.access import audit as module
from aixtivd.access import logbook
from aixtivd.access.audit import DELAY, RETRY, Audit
from aixtivd.access.note import Note, Tally
from aixtivd.errors import Locked
from peers.audits import CALLER, desk, lines, shown
from peers.clock import FakeClock, limit, settle
from peers.disks import small_disk
from peers.vaults import opened


async def until(there: Callable[[], bool]) -> None:
    """Other tasks do their work meanwhile: the disk's thread announces nothing to a test."""
    async with limit(10):
        while not there():  # as said
            await anyio.lowlevel.checkpoint()


async def test_the_log_is_json_lines_that_only_its_owner_reads(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one", "two")
    assert stat.S_IMODE((folder / "audit.log").stat().st_mode) == 0o600
    first, second = map(shown, lines(folder))
    assert (first["re"], first["number"], first["account"], second["number"]) == ("audit-record", 1, "one", 2)
    assert len(first["mac"]) == 64


async def test_the_log_goes_on_after_a_restart(folder: Path) -> None:
    for account in ("one", "two", "three"):
        async with desk(folder) as here:
            await here.happened(account)
    async with desk(folder) as here:
        assert await here.told() == ["one", "two", "three"]
        assert await here.verify() == replies.AuditVerdict(intact=True, records=3)


async def test_what_is_noted_is_on_disk_within_a_second_and_then_there_is_no_timer(folder: Path) -> None:
    clock = FakeClock()
    async with opened(folder, clock=clock) as vault, anyio.create_task_group() as tasks:
        audit = Audit(folder, vault, clock)
        await tasks.start(audit.run)
        await settle()
        clock.advance(DELAY)
        await audit.flush()
        await settle()
        pauses = len(clock.pauses)
        clock.advance(1000)
        await settle()
        assert len(clock.pauses) == pauses
        audit.note("token", CALLER, account="github")
        await settle()
        assert clock.pauses[pauses:] == [DELAY] <= [1]
        clock.advance(DELAY)
        await until(lambda: len(lines(folder)) == 2)
        tasks.cancel_scope.cancel()
    assert [shown(line)["what"] for line in lines(folder)] == ["start", "token"]


async def test_an_orderly_end_writes_what_is_left(folder: Path) -> None:
    clock = FakeClock()
    async with opened(folder, clock=clock) as vault:
        async with anyio.create_task_group() as tasks:
            audit = Audit(folder, vault, clock)
            await tasks.start(audit.run)
            audit.note("stop", CALLER)
            tasks.cancel_scope.cancel()
        assert [shown(line)["what"] for line in lines(folder)] == ["start", "stop"]


async def test_ten_thousand_notes_are_a_few_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = logbook.Logbook.write

    async def counted(self: logbook.Logbook, batch: list[object], lost: int) -> None:
        writes.append(len(batch))
        await real(self, batch, lost)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(logbook.Logbook, "write", counted)
    async with desk(folder) as here:
        for number in range(10_000):
            here.note("token", CALLER, account=f"account-{number}")
        await here.flush()
        assert (len(writes), sum(writes)) == (5, 10_000)
        assert (await here.verify()).records == 10_000
        assert [record.account for record in await here.all(limit=3)] == [f"account-{n}" for n in (9997, 9998, 9999)]


async def test_a_flush_ends_though_somebody_goes_on_asking_and_the_rest_gathers_for_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    real = logbook.Logbook.write

    async def asked_meanwhile(self: logbook.Logbook, batch: list[Note | Tally], lost: int) -> None:
        assert len(writes) < 9, "it never ends"
        writes.append(len(batch))
        for _ in range(10):
            here.token(CALLER, "github", 1.0)
            here.note("token", CALLER, ok=False, detail="the vault is locked")
        await real(self, batch, lost)

    monkeypatch.setattr(logbook.Logbook, "write", asked_meanwhile)
    monkeypatch.setattr(module, "_BATCH", 5)
    async with desk(folder) as here:
        for number in range(7):
            here.note("token", CALLER, account=f"account-{number}")
        await here.flush()
        assert writes == [5, 2]
        assert here._book._sealed.number == 7  # type: ignore[union-attr]  # it was opened


async def test_a_note_costs_its_caller_next_to_nothing(folder: Path) -> None:
    """Two microseconds are the aim, and what this machine needs is in the report; here it must not be a write."""
    async with desk(folder) as here:
        began = time.perf_counter()
        for _ in range(10_000):
            here.note("token", CALLER, account="github")
        assert (time.perf_counter() - began) / 10_000 < 20e-6


async def test_more_than_can_wait_is_counted_and_the_gap_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    async with desk(folder) as here:
        await here.happened("one", "two", "three", "four", "five")
        assert await here.told() == ["one", "two", "three", "2 records could not be written"]
        await here.happened("six")
        assert (await here.told())[-1] == "six"


async def test_on_a_full_disk_records_wait_it_is_said_and_none_is_lost(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(folder) as disk:
        async with desk(disk.home) as here:
            await here.happened("one")
            disk.fill()
            await here.happened(*[f"account-{number}" for number in range(3000)])
            assert here.problem == f"the audit log {here.path} cannot be written: no space left on device"
            assert "audit-fails" in caplog.messages
            verdict = await here.verify()
            assert (verdict.intact, verdict.problem) == (True, here.problem)
            before = len(await here.all())
            assert before < 3001
            disk.make_room()
            await here.flush()
            assert here.problem == ""
            assert [record.account for record in await here.all()] == ["one", *(f"account-{n}" for n in range(3000))]
            assert await here.verify() == replies.AuditVerdict(intact=True, records=3001)


async def test_a_disk_that_takes_nothing_is_asked_again_every_few_seconds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with opened(folder, clock=clock) as vault, anyio.create_task_group() as tasks:
        audit = Audit(folder, vault, clock)
        (folder / "audit.log").mkdir()
        await tasks.start(audit.run)
        await settle()
        clock.advance(DELAY)
        await until(lambda: RETRY in clock.pauses)
        assert "cannot be written" in audit.problem
        (folder / "audit.log").rmdir()
        clock.advance(RETRY)
        await until(lambda: not audit.problem)
        tasks.cancel_scope.cancel()
    assert [shown(line)["what"] for line in lines(folder)] == ["start"]


async def test_a_store_that_cannot_be_written_leaves_the_lines_on_disk(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        ignore = "CREATE TRIGGER a BEFORE INSERT ON notes BEGIN SELECT RAISE(IGNORE); END"
        await here.vault._opened.store.transact(lambda db: db.execute(ignore))  # type: ignore[union-attr]  # it is open
        await here.happened("two")
        assert here.problem.startswith("the end of the audit log cannot be sealed: the store")
        assert len(lines(folder)) == 2
        await here.vault._opened.store.transact(lambda db: db.execute("DROP TRIGGER a"))  # type: ignore[union-attr]  # as above
        await here.happened("three")
        assert (here.problem, await here.verify()) == ("", replies.AuditVerdict(intact=True, records=3))


async def test_while_locked_the_log_goes_on_and_is_sealed_in_at_the_unlock(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        await here.lock()
        await here.happened("two", "three")
        assert [key for line in lines(folder) for key in ("mac", "sum") if key in shown(line)] == ["mac", "sum", "sum"]
        assert await here.told() == ["one", "two", "three"]
        with pytest.raises(Locked):
            await here.verify()
        await here.vault.unlock()
        await here.unlocked()
        told = await here.told()
        assert told == [
            "one",
            "two",
            "three",
            "records beyond the sealed end were taken in: 2, 2 of them written while the vault was locked",
        ]
        assert await here.verify() == replies.AuditVerdict(intact=True, records=4, plain=2)


async def test_what_is_sealed_while_a_lock_waits_for_a_refresh_is_no_alarm_later(folder: Path) -> None:
    async with desk(folder) as here:
        with here.locking():
            await here.flush()
            await here.happened("one")  # the writer's own turn
            await here.vault.lock()
        await here.happened("two")
    async with desk(folder) as here:
        await here.unlocked()
        verdict = await here.verify()
        assert (verdict.intact, verdict.records, verdict.plain) == (True, 3, 1)


async def test_a_lock_that_failed_leaves_the_end_closed_to_lines_without_the_key(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        with here.locking():
            await here.flush()
        await here.happened("two")
        await here.vault.lock()
        await here.happened("three")
    async with desk(folder) as here:
        await here.unlocked()
        assert not (await here.verify()).intact


async def test_what_a_locked_daemon_wrote_is_sealed_in_by_a_later_one(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        await here.lock()
    for account in ("two", "three"):
        async with desk(folder) as locked:
            await locked.vault.lock()
            await locked.happened(account)
    async with desk(folder) as here:
        await here.unlocked()
        verdict = await here.verify()
        assert (verdict.intact, verdict.records, verdict.plain) == (True, 4, 2)
        assert [record.plain for record in await here.all()] == [False, True, True, False]
        assert [record.account for record in await here.all()][:3] == ["one", "two", "three"]


async def test_a_locked_daemon_writes_only_so_many_records_whatever_is_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "UNSEALED", 5)
    monkeypatch.setattr(module, "_BATCH", 2)
    async with desk(folder) as here:
        await here.lock()
        await here.happened(*"abcdefgh")
        assert len(lines(folder)) == 6
    async with desk(folder) as again:  # those that waited in memory are gone with the daemon
        await again.vault.lock()
        await again.happened(*"xyz")
        assert len(lines(folder)) == 6
        await again.vault.unlock()
        await again.unlocked()
        told = await again.told()
        assert told[:6] == list("abcdef")
        assert told[7:] == list("xyz")
        assert (await again.verify()).intact


async def test_before_the_first_unlock_there_is_a_log_too(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.lock()
        audit = Audit(folder, vault, FakeClock())
        audit.note("unlock", CALLER, ok=False)
        await audit.flush()
        await vault.unlock()
        await audit.unlocked()
        assert (await audit.verify()).intact


async def test_a_daemon_that_began_locked_takes_in_what_it_wrote_itself(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
    async with desk(folder) as here:
        await here.vault.lock()
        await here.happened("two")
        await here.vault.unlock()
        await here.unlocked()
        assert (await here.verify()).intact
        assert (await here.all())[1].plain


async def test_a_new_log_begins_where_an_altered_one_was_and_names_it(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one", "two")
    before = b"".join(lines(folder)[1:])
    here.path.write_bytes(before)
    async with desk(folder) as here:
        assert not (await here.verify()).intact
        altered = here.path.read_bytes()
        said = await here.begin_anew(CALLER)
        aside = folder / f"audit.log.before-{int(here.clock.wall())}"
        assert said == f"a new audit log begins; the one before it is {aside}"
        assert aside.read_bytes() == altered
        (first,) = await here.all()
        assert (first.number, first.what, first.pid) == (1, "audit", CALLER.pid)
        assert first.detail == (
            f"a new log begins; the one before it: {aside.name}, which ends with record 0 and is not whole: "
            "record 1 is missing"
        )
        await here.begin_anew(CALLER)
        assert aside.read_bytes() == altered, "the second one has a name of its own"
        await here.happened("three")
    async with desk(folder) as again:
        assert await again.verify() == replies.AuditVerdict(intact=True, records=2)
        await again.vault.lock()
        with pytest.raises(Locked):
            await again.begin_anew(CALLER)
        assert again.path.exists()


@pytest.mark.parametrize("what", ["moved", "a folder"])
async def test_a_new_log_begins_whatever_stands_in_its_place(folder: Path, what: str) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        here.path.rename(folder / "elsewhere")
        if what == "a folder":
            here.path.mkdir()
            await here.happened("two")
        await here.begin_anew(CALLER)
    async with desk(folder) as again:
        assert (await again.verify()).intact
