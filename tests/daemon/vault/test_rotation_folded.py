"""What a rotation leaves in the WAL: folded away by it, else by the next start, and said where it could not be."""

import sqlite3
from pathlib import Path

import pytest

from aixtivd.ipc.keying import _sealed
from aixtivd.vault import ledger, store
from aixtivd.vault.ledger import Ledger
from peers.rotated import meta_of
from peers.vaults import crashed, opened, row


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


async def test_killed_before_the_old_key_was_folded_away_the_next_start_does_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever has the old key and a copy of the file goes on reading for as long as that daemon runs."""
    async with opened(folder / "home") as vault:
        await vault.journal.commit(row(1), None)
    old = (await meta_of(folder / "home")).wrapped
    async with opened(folder / "home") as vault:
        with monkeypatch.context() as disk:
            disk.setattr(Ledger, "_fold_old_keys", lambda *_: None)
            await vault.rotate()
        copy = crashed(folder / "home", folder / "crashed")
    assert old in contents(copy)["store.db"]
    async with opened(copy) as again:
        there = contents(copy)
        assert not any(old in content for content in there.values())
        assert not there.get("store.db-wal")
        assert await again.rows() == [row(1)]


async def test_a_wal_that_cannot_be_emptied_is_told_with_the_rotation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        assert not (await vault.rotate()).unfolded
        folds = iter([store.fold])  # the one before the rotation; then none

        def fold(db: sqlite3.Connection) -> None:
            if (real := next(folds, None)) is None:
                raise sqlite3.OperationalError
            real(db)

        with monkeypatch.context() as disk:
            disk.setattr(ledger, "fold", fold)
            seals = await vault.rotate()
        assert seals.unfolded
        assert "until the daemon ends" in _sealed(seals)
        assert not (await vault.rotate()).unfolded
