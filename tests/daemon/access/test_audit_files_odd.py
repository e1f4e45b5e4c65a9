"""Files of the audit log that cannot be read, and names beside it that are none of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv_protocol.replies import AuditVerdict
from aixtivd.access import proof
from aixtivd.errors import StoreFailed
from peers.audits import CALLER, SMALL, Desk, desk, filled, older
from peers.vaults import crashed


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


def nothing(here: Desk) -> None:
    pass


def half(here: Desk) -> None:
    first = older(here.path.parent)[0]
    first.rename(first.with_name(first.name.replace("audit.log", "audit.log.before-1")))


def all_of_it(here: Desk) -> None:
    here._book.shelf.put_aside("before-1")


@pytest.mark.parametrize("done", [nothing, half, all_of_it])
async def test_a_new_log_that_was_cut_half_way_is_begun_by_the_next_start_and_is_no_attack(
    folder: Path, done: Callable[[Desk], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(folder, limit=SMALL) as here:
        await filled(here, 8)

        def cut(*_: object) -> None:
            done(here)
            crashed(folder)
            raise OSError(5, "the daemon was killed")

        monkeypatch.setattr(here._book, "begin_anew", cut)
        with pytest.raises(StoreFailed):
            await here.begin_anew(CALLER)
    async with desk(folder / "crashed", limit=SMALL) as again:
        await again.happened("later")
        assert await again.verify() == AuditVerdict(intact=True, records=2)
        begun, later = await again.told()
        assert begun.startswith("a new log begins, as was asked for before the daemon ended")
        assert later == "later"
    aside = [path for path in (folder / "crashed").glob("audit.log.before-*") if path.is_file()]
    assert len(aside) == 3, "every file is there yet"
