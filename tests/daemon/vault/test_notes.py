"""Notes: small sealed records by name, which nobody can read, roll back or take away unseen."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aixtiv_protocol.secret import Secret
from aixtivd.errors import Locked, StoreFailed
from aixtivd.vault import store
from aixtivd.vault.notes import DamagedNote
from aixtivd.vault.sealing import Sealer
from peers.disks import small_disk
from peers.leaks import files_under, leaks
from peers.vaults import crashed, image, inside, opened, row, vault_in

STORES = Path(__file__).parent / "stores"


async def test_what_was_written_last_is_read_also_by_the_next_daemon(folder: Path) -> None:
    async with opened(folder) as vault:
        assert await vault.notes.read("tickets") is None
        await vault.notes.write("tickets", b"one")
        await vault.notes.write("audit", b"head")
        await vault.notes.write("tickets", b"")
        assert await vault.notes.read("tickets") == b""
        copy = crashed(folder)
    for home in (folder, copy):
        async with opened(home) as again:
            assert (await again.notes.read("tickets"), await again.notes.read("audit")) == (b"", b"head")


async def test_notes_and_records_know_nothing_of_each_other(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.notes.write("tickets", b"one")
        await vault.journal.commit(row(1, 2), row(1))
    async with opened(folder) as vault:
        assert (await vault.rows(), vault.damaged, await vault.journal.intents()) == ([row(1, 2)], 0, [])
        await vault.journal.delete(row(1).id)
        assert (await vault.rows(), await vault.notes.read("tickets")) == ([], b"one")


async def test_neither_name_nor_content_of_a_note_can_be_read_on_disk(folder: Path) -> None:
    content = "sha256-of-a-ticket-Zq81kfPw"
    async with opened(folder) as vault:
        await vault.notes.write("the-tickets-note", content.encode())
        copy = crashed(folder)
    assert leaks([content, "the-tickets-note"], files_under(folder, copy)) == []


async def test_a_locked_vault_has_no_notes_and_no_keys(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.lock()
        with pytest.raises(Locked):
            await vault.notes.read("tickets")
        with pytest.raises(Locked):
            await vault.notes.write("tickets", b"")
        with pytest.raises(Locked):
            vault.derive("audit")


async def test_on_a_full_disk_a_note_stays_as_it_was(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await vault.notes.write("tickets", b"one")
            disk.fill()
            with pytest.raises(StoreFailed, match="is full"):
                await vault.notes.write("tickets", bytes(100_000))
            assert await vault.notes.read("tickets") == b"one"
            disk.make_room()
            await vault.notes.write("tickets", b"two")
            assert await vault.notes.read("tickets") == b"two"


async def yesterday_and_today(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.notes.write("tickets", b"yesterday")
    shutil.copy(folder / "store.db", folder / "yesterday.db")
    async with opened(folder) as vault:
        await vault.notes.write("tickets", b"today")


def rolled_back(db: sqlite3.Connection, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "yesterday.db")) as old:
        values = old.execute("SELECT * FROM notes").fetchone()
    db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", values)


def rolled_back_with_its_part(db: sqlite3.Connection, folder: Path) -> None:
    rolled_back(db, folder)
    with closing(sqlite3.connect(folder / "yesterday.db")) as old:
        for values in old.execute("SELECT * FROM manifest WHERE part < 256"):
            db.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?)", values)


def rolled_back_under_the_new_generation(db: sqlite3.Connection, folder: Path) -> None:
    now = db.execute("SELECT generation FROM notes").fetchone()
    rolled_back(db, folder)
    db.execute("UPDATE notes SET generation = ?", now)


def run(*statements: str) -> Callable[[sqlite3.Connection, Path], None]:
    def work(db: sqlite3.Connection, _: Path) -> None:
        for statement in statements:
            db.execute(statement)

    return work


ATTACKS = {
    "rolled back": rolled_back,
    "rolled back with its part of the list": rolled_back_with_its_part,
    "rolled back under the new generation": rolled_back_under_the_new_generation,
    "taken away": run("DELETE FROM notes"),
    "taken away with its part of the list": run("DELETE FROM notes", "DELETE FROM manifest WHERE part < 256"),
    "altered": run("UPDATE notes SET sealed = zeroblob(50)"),
    "made text": run("UPDATE notes SET sealed = 'today'"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_note_that_was_rolled_back_altered_or_taken_away_is_noticed(folder: Path, attack: str) -> None:
    await yesterday_and_today(folder)
    with inside(folder) as db:
        ATTACKS[attack](db, folder)
    before = image(folder)
    async with opened(folder) as vault:
        with pytest.raises(DamagedNote) as failure:
            await vault.notes.read("tickets")
        assert failure.value.sentence == "the store's note about tickets was altered or put back"
        assert failure.value.hint == f"ls -l {folder}/store.db"
    assert image(folder) == before
    async with opened(folder) as vault:
        await vault.notes.write("tickets", b"anew")
        assert await vault.notes.read("tickets") == b"anew"


async def test_a_note_of_another_name_does_not_fit(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.notes.write("tickets", b"one")
        await vault.notes.write("audit", b"two")
    with inside(folder) as db:
        first, second = db.execute("SELECT id, generation, sealed FROM notes").fetchall()
        db.execute("UPDATE notes SET sealed = ? WHERE id = ?", (second[2], first[0]))
        db.execute("UPDATE notes SET sealed = ? WHERE id = ?", (first[2], second[0]))
    async with opened(folder) as vault:
        for name in ("tickets", "audit"):
            with pytest.raises(DamagedNote):
                await vault.notes.read(name)


async def test_a_store_from_before_there_were_notes_is_brought_up_to_date_with_all_it_holds(folder: Path) -> None:
    dump = (STORES / "format-1.sql").read_text()
    key = re.search(r"^-- key: (\w+)$", dump, re.MULTILINE)
    assert key
    for name, content in (("key", f"{key[1]}\n"), ("store.db", "")):
        (folder / name).touch(0o600)
        (folder / name).write_text(content)
    with inside(folder) as db:
        db.executescript(dump)
    async with opened(folder) as vault:
        assert (sorted(await vault.rows(), key=repr), vault.damaged) == (sorted([row(1, 2), row(2)], key=repr), 0)
        assert [intent.attempts for intent in await vault.journal.intents()] == [1]
        await vault.notes.write("tickets", b"one")
        assert (await vault.journal.begin(row(1).id, 2, Secret("refresh-token-Zq81kfPw"))).attempts == 2
        assert await vault.journal.commit(row(1, 3), row(1, 2))
    async with opened(folder) as vault:
        assert (sorted(await vault.rows(), key=repr), vault.damaged) == (sorted([row(1, 3), row(2)], key=repr), 0)
        assert await vault.notes.read("tickets") == b"one"
    with inside(folder) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(store.MIGRATIONS),)


def test_keys_for_other_purposes_are_hkdf_of_the_data_key() -> None:
    data_key = bytes(range(32))
    vetted = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"aixtiv key for: audit").derive(data_key)
    assert Sealer(data_key).derive("audit") == vetted
    assert Sealer(data_key).derive("tickets") != vetted


async def test_a_derived_key_is_the_same_after_a_restart_and_another_in_another_store(folder: Path) -> None:
    for home in ("one", "two"):
        (folder / home).mkdir(mode=0o700)
    async with opened(folder / "one") as vault:
        first = vault.derive("audit")
    async with opened(folder / "one") as vault, opened(folder / "two") as other:
        assert vault.derive("audit") == first != other.derive("audit")


async def test_a_note_that_sqlite_passes_over_is_not_taken_for_written(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.notes.write("tickets", b"one")
        ignore = "CREATE TRIGGER a BEFORE INSERT ON notes BEGIN SELECT RAISE(IGNORE); END"
        await vault._opened.store.transact(lambda db: db.execute(ignore))  # type: ignore[union-attr]  # it is open
        with pytest.raises(StoreFailed, match="took a change and did not make it"):
            await vault.notes.write("tickets", b"two")
        assert await vault.notes.read("tickets") == b"one"


def test_a_vault_that_was_never_opened_gives_no_keys(folder: Path) -> None:
    with pytest.raises(Locked):
        vault_in(folder).derive("audit")
