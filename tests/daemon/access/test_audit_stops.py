"""Where the config says so, nothing is handed out that cannot be recorded."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from aixtivd import log
from aixtivd.access import audit as module
from aixtivd.access import logbook
from aixtivd.config import AuditConfig
from aixtivd.errors import StoreFailed
from peers.audits import CALLER, desk
from peers.clock import limit
from peers.disks import small_disk


async def test_with_stop_nothing_is_admitted_while_records_cannot_be_written_and_it_goes_on_by_itself(
    folder: Path,
) -> None:
    with small_disk(folder) as disk:
        async with desk(disk.home) as here:
            here.reconfigure(AuditConfig(on_failure="stop"))
            await here.happened("one")
            here.admit()
            disk.fill()
            for _ in range(40):  # until the last block of the file is used up
                await here.happened(*["x" * 390] * 10)
            assert here.stopped
            with pytest.raises(StoreFailed) as refused:
                here.admit()
            assert refused.value.sentence == (
                f"nothing is handed out that cannot be recorded (audit.on-failure): {here.problem}"
            )
            disk.make_room()
            await here.flush()
            here.admit()
            assert (await here.verify()).intact


async def test_the_config_can_be_changed_while_it_fails(folder: Path) -> None:
    async with desk(folder) as here:
        here.path.mkdir()
        await here.happened("one")
        here.admit()
        here.reconfigure(AuditConfig(on_failure="stop"))
        with pytest.raises(StoreFailed):
            here.admit()
        here.reconfigure(AuditConfig(on_failure="announce"))
        here.admit()


async def test_with_stop_what_takes_the_last_room_for_records_is_the_last_to_be_handed_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    async with desk(folder) as here:
        here.reconfigure(AuditConfig(on_failure="stop"))
        for account in ("one", "two"):
            here.note("token", CALLER, account=account)
        here.admit()
        assert here.token(CALLER, "three", 1.0)
        with pytest.raises(StoreFailed, match="as fast as they come"):
            here.admit()
        await here.flush()
        here.admit()
        assert await here.told() == ["one", "two", "three"]


@pytest.mark.parametrize("step", ["look", "write", "turn", "seal"])
async def test_with_stop_a_disk_that_hangs_is_taken_for_one_that_fails_until_it_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    answers, real = anyio.Event(), getattr(logbook.Logbook, step)

    async def hanging(self: logbook.Logbook, *given: Any) -> None:
        await answers.wait()
        await real(self, *given)

    async with desk(folder) as here, anyio.create_task_group() as tasks:
        here.reconfigure(AuditConfig(on_failure="stop"))
        await here.happened("one")
        for patience in ("PATIENCE", "_TURNING"):
            monkeypatch.setattr(module, patience, 0.001)
        monkeypatch.setattr(logbook.Logbook, step, hanging)
        noticed = anyio.Event()
        monkeypatch.setattr(log, "error", lambda *_, **__: noticed.set())
        here.note("token", CALLER, account="two")
        tasks.start_soon(here.flush)
        async with limit(10):
            await noticed.wait()
        with pytest.raises(StoreFailed, match="no answer for"):
            here.admit()
        for patience in ("PATIENCE", "_TURNING"):
            monkeypatch.setattr(module, patience, 60.0)
        answers.set()
        await here.flush()
        here.admit()
        assert await here.told() == ["one", "two"]
