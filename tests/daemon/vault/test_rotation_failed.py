"""A rotation that SQLite, the disk or a defect does not make as it was told: it is whole, or it never was."""

import sqlite3
from pathlib import Path

import pytest

from aixtivd.errors import StoreFailed
from aixtivd.vault import ledger, store
from aixtivd.vault.sealing import Sealer
from peers.rotated import furnished, whole
from peers.vaults import crashed, opened, row

SEALED = ("records", "kept", "intents", "notes")


@pytest.mark.parametrize("table", [*SEALED, "manifest", "meta"])
async def test_a_rotation_that_sqlite_passes_over_in_part_is_undone(folder: Path, table: str) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
        event = "INSERT" if table in {"manifest", "meta"} else "UPDATE"
        trigger = f"CREATE TRIGGER a BEFORE {event} ON {table} BEGIN SELECT RAISE(IGNORE); END"
        opened_ = vault._opened
        assert opened_
        await opened_.store.transact(lambda db: db.execute(trigger))
        with pytest.raises(StoreFailed, match="took a change and did not make it"):
            await vault.rotate()
        await opened_.store.transact(lambda db: db.execute("DROP TRIGGER a"))
        assert await whole(vault) == before
        copy = crashed(folder)
    async with opened(copy) as vault:
        assert await whole(vault) == before


async def test_what_does_not_come_out_again_is_not_sealed_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours, or of the machine's memory, loses nothing."""
    async with opened(folder) as vault:
        before = await furnished(vault)
        real = Sealer.seal

        def wrong(self: Sealer, table: str, id_: bytes, generation: int, payload: bytes) -> bytes:
            return real(self, table, id_, generation + (table == "kept"), payload)

        monkeypatch.setattr(Sealer, "seal", wrong)
        with pytest.raises(StoreFailed, match="took a change and did not make it"):
            await vault.rotate()
        monkeypatch.undo()
        assert await whole(vault) == before
        await vault.rotate()
        assert await whole(vault) == before


async def test_a_commit_that_failed_and_took_place_is_taken_for_what_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
        real = store.transaction

        def failing(db: sqlite3.Connection) -> object:
            return _Failing(real(db))

        monkeypatch.setattr(ledger, "transaction", failing)
        await vault.rotate()
        monkeypatch.undo()
        assert await whole(vault) == before
        await vault.journal.commit(row(7), None)
    async with opened(folder) as vault:
        assert row(7) in await vault.rows()


class _Failing:
    """A transaction whose COMMIT is done, and reported as failed."""

    def __init__(self, real: object) -> None:
        self._real = real

    def __enter__(self) -> None:
        self._real.__enter__()  # type: ignore[attr-defined]  # a context manager

    def __exit__(self, *error: object) -> None:
        self._real.__exit__(*error)  # type: ignore[attr-defined]  # as above
        if error == (None, None, None):
            raise sqlite3.OperationalError("disk I/O error")
