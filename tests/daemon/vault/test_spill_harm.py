"""The spill slot under harm: a disk that forces nothing, a length that is lost, a file that is exchanged."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import StoreFailed
from aixtivd.vault import folder as folders
from aixtivd.vault.sealing import Sealer
from aixtivd.vault.spill import SIZE, Slot
from aixtivd.vault.vault import Vault
from peers.vaults import crashed, opened, row

TOKEN = Secret("refresh-token-Zq81kfPw")


@contextmanager
def slot_in(folder: Path) -> Iterator[Slot]:
    slot = Slot(folder / "spill", Sealer(bytes(range(32))))
    slot.open()
    try:
        yield slot
    finally:
        slot.close()


def failing(*_: object) -> None:
    raise OSError(5, "Input/output error")


async def write_that_was_not_forced(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 1 at generation 2 on its way: neither the store nor the slot's disk took it."""
    assert await vault.journal.commit(row(1), None)
    assert vault._opened is not None
    with monkeypatch.context() as disk:
        disk.setattr(vault._opened.ledger, "_put", broken)
        disk.setattr(folders, "sync", failing)
        with pytest.raises(StoreFailed, match="neither the store nor the spill slot"):
            await vault.journal.commit(row(1, 2), row(1))


def broken(*_: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")


async def test_what_was_written_and_never_forced_to_the_disk_goes_with_the_commit_that_succeeds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        await write_that_was_not_forced(vault, monkeypatch)
        assert any((folder / "spill").read_bytes())
        assert await vault.journal.commit(row(1, 2), row(1))
        assert (folder / "spill").read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("doing", ["logout", "rotation"])
async def test_nothing_that_was_written_and_never_forced_outlives_a_logout_or_its_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    async with opened(folder) as vault:
        await write_that_was_not_forced(vault, monkeypatch)
        await (vault.journal.delete(row(1).id) if doing == "logout" else vault.rotate())
        assert (folder / "spill").read_bytes() == bytes(SIZE)


async def test_another_accounts_change_leaves_the_only_copy_that_a_crash_might_find(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        await write_that_was_not_forced(vault, monkeypatch)
        assert await vault.journal.commit(row(2), None)
        copy = crashed(folder)
    async with opened(copy) as again:
        assert row(1, 2) in await again.rows()


def test_a_shorter_entry_over_one_that_was_not_forced_leaves_nothing_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slot_in(folder) as slot:
        with monkeypatch.context() as disk:
            disk.setattr(folders, "sync", failing)
            with pytest.raises(OSError, match="Input/output"):
                slot.write(row(1, payload=bytes(3000)))
        slot.write(row(2))
        assert len((folder / "spill").read_bytes().rstrip(b"\0")) < 300
    with slot_in(folder) as again:
        assert (list(again.rows.values()), again.damaged) == ([row(2)], 0)


def test_entries_behind_a_length_that_was_lost_are_told_and_do_not_stay(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
        second = len((folder / "spill").read_bytes().rstrip(b"\0"))
        slot.write(row(2))
        slot.write(row(3))
    content = bytearray((folder / "spill").read_bytes())
    content[second : second + 4] = bytes(4)
    (folder / "spill").write_bytes(content)
    with slot_in(folder) as slot:
        assert (list(slot.rows.values()), slot.damaged, slot.used) == ([row(1)], 1, True)
        slot.clear()
    assert (folder / "spill").read_bytes() == bytes(SIZE)


async def test_a_slot_of_which_nothing_can_be_read_is_emptied_by_a_start(folder: Path) -> None:
    async with opened(folder):
        pass
    (folder / "spill").write_bytes(bytes(4) + b"what was an entry once")
    async with opened(folder):
        assert (folder / "spill").read_bytes() == bytes(SIZE)


def exchanged(path: Path) -> None:
    """As a synchroniser does."""
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.chmod(0o600)
    new.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [exchanged, cut, Path.unlink])
@pytest.mark.parametrize("before", ["spilling", "spilled"])
async def test_a_slot_that_was_exchanged_or_removed_loses_nothing_that_was_reported_as_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], before: str
) -> None:
    async with opened(folder / "home") as vault:
        assert await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        if before == "spilling":
            harm(folder / "home" / "spill")
        assert vault._opened is not None
        with monkeypatch.context() as disk:
            disk.setattr(vault._opened.ledger, "_put", broken)
            assert await vault.journal.commit(row(1, 2, b"new"), row(1)) is False
            if before == "spilled":
                harm(folder / "home" / "spill")
                assert await vault.journal.commit(row(2), None) is False
        copy = crashed(folder / "home", folder / "crashed")
        assert await vault.journal.absorb() > 0
        assert (folder / "home" / "spill").read_bytes() == bytes(SIZE)
    async with opened(copy) as again:
        assert row(1, 2, b"new") in await again.rows()


async def test_what_stands_in_an_exchanged_slot_brings_nobody_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        assert await vault.journal.commit(row(1), None)
        assert vault._opened is not None
        with monkeypatch.context() as disk:
            disk.setattr(vault._opened.ledger, "_put", broken)
            assert await vault.journal.commit(row(1, 2), row(1)) is False
        (folder / "old").write_bytes((folder / "spill").read_bytes())
        await vault.journal.delete(row(1).id)
        (folder / "old").replace(folder / "spill")
        await vault.journal.begin(row(3).id, 1, TOKEN)
        assert await vault.rows() == []
        assert (folder / "spill").read_bytes() == bytes(SIZE)


async def test_where_no_slot_can_be_reserved_anew_nothing_is_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        assert await vault.journal.commit(row(1), None)
        (folder / "spill").unlink()
        monkeypatch.setattr(folders, "sync", failing)
        with pytest.raises(StoreFailed, match="cannot be reserved"):
            await vault.journal.begin(row(1).id, 1, TOKEN)
