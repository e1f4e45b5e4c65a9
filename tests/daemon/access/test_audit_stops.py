"""Where the config says so, nothing is handed out that cannot be recorded."""

from pathlib import Path

import pytest

from aixtivd.access import audit as module
from aixtivd.config import AuditConfig
from aixtivd.errors import StoreFailed
from peers.audits import CALLER, desk
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


async def test_with_stop_a_disk_that_keeps_records_waiting_for_too_long_stops_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    async with desk(folder) as here:
        here.reconfigure(AuditConfig(on_failure="stop"))
        for _ in range(3):
            here.note("token", CALLER)
        here.admit()
        here.note("token", CALLER)
        with pytest.raises(StoreFailed, match="as fast as they come"):
            here.admit()
        await here.flush()
        here.admit()
