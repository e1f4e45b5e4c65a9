"""Somebody who may write the files tells SQLite what to do with our statements."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import StoreFailed
from peers.vaults import crashed, image, opened, row, vault_in

TOKEN = Secret("refresh-token-Zq81kfPw")

ALTERATIONS = {
    "trigger a": "CREATE TRIGGER a BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END",
    "view a": "CREATE VIEW a AS SELECT * FROM records",
    "index a": "CREATE INDEX a ON records (generation)",
    "table a": "CREATE TABLE a (x)",
    "table probe": "ALTER TABLE probe ADD COLUMN x GENERATED ALWAYS AS (one) VIRTUAL",
    "table kept": "DROP TABLE kept",
}


@pytest.mark.parametrize("hot", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize("what", ALTERATIONS)
async def test_a_store_that_holds_more_or_less_than_aixtiv_makes_is_refused(folder: Path, what: str, hot: bool) -> None:
    """SQLite does what triggers say: with this one, a commit would seem to succeed and write nothing."""
    home = folder
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        if hot:
            await vault._opened.store.transact(lambda db: db.execute(ALTERATIONS[what]))  # type: ignore[union-attr]  # it is open
            home = crashed(folder)
    if not hot:
        with closing(sqlite3.connect(folder / "store.db")) as db:
            db.execute(ALTERATIONS[what])
    before = image(home)
    with pytest.raises(StoreFailed) as failure:
        await vault_in(home).open()
    assert failure.value.sentence == f"the store {home}/store.db was altered: its {what} is not as aixtiv makes it"
    assert failure.value.hint == f"sqlite3 {home}/store.db .schema"
    assert image(home) == before


async def test_a_store_altered_while_it_waited_for_its_passphrase_is_refused(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.lock()
        with closing(sqlite3.connect(folder / "store.db")) as db:
            db.execute(ALTERATIONS["trigger a"])
        with pytest.raises(StoreFailed, match="its trigger a is not as aixtiv makes it"):
            await vault.unlock()
        assert vault.locked


@pytest.mark.parametrize("table", ["records", "intents", "kept", "probe", "manifest"])
async def test_a_write_that_sqlite_passes_over_is_not_taken_for_done(folder: Path, table: str) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        alter = ALTERATIONS["trigger a"].replace("records", table)
        await vault._opened.store.transact(lambda db: db.execute(alter))  # type: ignore[union-attr]  # it is open
        writes = {"intents": vault.journal.begin(row(1).id, 1, TOKEN), "probe": vault.journal.probe()}
        if table in writes:
            with pytest.raises(StoreFailed, match="took a change and did not make it"):
                await writes[table]
        else:
            assert await vault.journal.commit(row(1, 2), row(1)) is False
            assert await vault.rows() == [row(1, 2)]
        for unused in writes.values():
            unused.close()


@pytest.mark.parametrize("table", ["records", "intents", "kept"])
async def test_a_deletion_that_sqlite_passes_over_is_not_taken_for_done(folder: Path, table: str) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(1, 2), row(1))
        await vault.journal.begin(row(1).id, 2, TOKEN)
        alter = f"CREATE TRIGGER b BEFORE DELETE ON {table} BEGIN SELECT RAISE(IGNORE); END"
        await vault._opened.store.transact(lambda db: db.execute(alter))  # type: ignore[union-attr]  # it is open
        with pytest.raises(StoreFailed, match="took a change and did not make it"):
            await vault.journal.delete(row(1).id)
        assert await vault.rows() == [row(1, 2)]
