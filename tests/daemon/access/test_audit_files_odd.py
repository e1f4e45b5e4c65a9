"""Files of the audit log that cannot be read, and names beside it that are none of its own."""

from pathlib import Path

import pytest

from aixtivd.access import proof
from peers.audits import CALLER, SMALL, desk, filled, older


def unreadable(*_: object) -> None:
    raise PermissionError(13, "no")


async def test_a_file_that_cannot_be_read_is_not_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever altered it can have closed it, too."""
    async with desk(folder, limit=SMALL, files=1) as here:
        await filled(here, 6)
        first = older(folder)[0]
        monkeypatch.setattr(proof, "of_one", unreadable)
        await filled(here, 3, start=6)
        monkeypatch.undo()
        assert first.with_name(f"{first.name}.altered").exists()
        assert not first.exists()
        assert "cannot be read: permission denied; it was not dropped" in (await here.verify()).problem


async def test_where_an_altered_file_cannot_get_another_name_it_keeps_its_own_and_it_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(folder, limit=SMALL, files=1) as here:
        await filled(here, 6)
        first = older(folder)[0]
        first.write_bytes(first.read_bytes().replace(b"a0", b"b0"))
        monkeypatch.setattr(here._book.shelf, "keep_altered", unreadable)
        await filled(here, 3, start=6)
        assert first.exists()
        (said,) = {vars(record)["facts"]["reason"] for record in caplog.records if record.msg == "audit-fails"}
        assert said == "an altered file of the audit log cannot be kept: permission denied"


@pytest.mark.parametrize("odd", ["00000000000000007", "0000000000", "00000000001"])
async def test_a_name_that_is_none_of_ours_holds_up_nothing(folder: Path, odd: str) -> None:
    """Of more zeros, or of a record that there is not: a folder, at that."""
    async with desk(folder, limit=SMALL, files=1) as here:
        await filled(here, 6)
        strange = folder / f"audit.log.from-{odd}"
        strange.mkdir()
        await filled(here, 9, start=6)
        assert len(older(folder)) == 2, "the odd one, and one that is kept"
        assert (await here.verify()).intact
        assert await here.begin_anew(CALLER)
        assert older(folder) == [strange]


async def test_a_file_that_cannot_be_removed_keeps_no_other_from_it(folder: Path) -> None:
    async with desk(folder, limit=SMALL, files=1) as here:
        await filled(here, 12)
        (folder / "audit.log.from-0000000001").mkdir()
        (folder / "audit.log.from-0000000002").write_bytes(b"")
        await filled(here, 3, start=12)
        assert older(folder)[0].name == "audit.log.from-0000000001"
        assert not (folder / "audit.log.from-0000000002").exists()
