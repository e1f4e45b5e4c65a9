"""A new data key: everything is carried over, nothing opens with the old one, and nothing that fails changes a byte."""

import asyncio
import hashlib
import re
import time
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed, Locked, StoreFailed
from aixtivd.vault import sealing, store
from aixtivd.vault.intents import DOUBT
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, DataKey, Sealer
from peers.busy import Busy
from peers.disks import small_disk
from peers.rotated import TOKEN, data_key, furnished, meta_of, whole
from peers.vaults import crashed, image, inside, opened, row, vault_in

STORES = Path(__file__).parent / "stores"
SEALED = ("records", "kept", "intents", "notes")


def seals(folder: Path) -> dict[str, list[tuple[bytes, int, bytes]]]:
    """Of a closed store."""
    with inside(folder) as db:
        return {table: db.execute(f"SELECT id, generation, sealed FROM {table}").fetchall() for table in SEALED}


async def test_a_rotation_carries_everything_over(folder: Path) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
        assert (await vault.rotate()).broken == 0
        assert await whole(vault) == before
    async with opened(folder) as vault:
        assert await whole(vault) == before
        assert (await vault.journal.begin(row(1).id, 2, TOKEN)).attempts == 2, "it is known which token was begun with"
        assert await vault.journal.commit(row(2, 3), row(2, 2))


async def test_after_a_rotation_nothing_on_disk_opens_with_the_old_key(folder: Path) -> None:
    async with opened(folder) as vault:
        await furnished(vault)
    old, wrapped, before = await data_key(folder), (await meta_of(folder)).wrapped, seals(folder)
    async with opened(folder) as vault:
        await vault.rotate()
        assert (folder / "store.db-wal").stat().st_size == 0
        copy = crashed(folder)
    new, after = await data_key(folder), seals(folder)
    assert (old.made_at, new.made_at) == (0, 1_800_000_000)
    assert old.seals != new.seals
    for table in SEALED:
        assert after[table]
        for id_, generation, sealed in after[table]:
            Sealer(new.seals).unseal(table, id_, generation, sealed)
            with pytest.raises(BrokenSeal):
                Sealer(old.seals).unseal(table, id_, generation, sealed)
    gone = [wrapped, *(sealed for table in SEALED for _, _, sealed in before[table])]
    files = [(home / name).read_bytes() for home in (folder, copy) for name in ("store.db", "spill")]
    assert not [seal for seal in gone if any(seal[12:] in content for content in files)]


async def test_the_old_data_key_is_not_kept_under_the_new_one(folder: Path) -> None:
    async with opened(folder) as vault:
        first = vault.derive("audit log")
    old = await data_key(folder)
    async with opened(folder) as vault:
        await vault.rotate()
        assert vault.derive("audit log") == first
    assert old.seals not in (await data_key(folder)).written()


async def test_it_can_be_rotated_again_and_again(folder: Path) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault, rows=2)
        for _ in range(20):
            await vault.rotate()
        assert await whole(vault) == before
        for _ in range(3):
            await vault.lock()
            await vault.unlock()
            await vault.rotate()
    async with opened(folder) as vault:
        assert await whole(vault) == before


async def test_a_thousand_accounts_are_sealed_anew_in_little_time(folder: Path) -> None:
    """Grants of 3 KB with an earlier generation each. The bound is generous, for busy machines."""
    async with opened(folder) as vault:
        ids = [hashlib.sha256(b"%d" % number).digest()[:16] for number in range(1000)]
        first = [Row(id_, 1, b"x" * 3000) for id_ in ids]
        await vault.journal.commit_all([(row_, None) for row_ in first])
        await vault.journal.commit_all([(Row(row_.id, 2, b"y" * 3000), row_) for row_ in first])
        begun = time.perf_counter()
        found = await vault.rotate()
        took = time.perf_counter() - begun
        assert found.held >= 2000
        assert len(await vault.rows()) == 1000
    print(f"rotated 1,000 accounts in {took:.2f} s")
    assert took < 10


async def test_what_is_queued_behind_a_rotation_is_done_with_the_new_key(folder: Path) -> None:
    """Though it was asked for before: an answer of a refresh must not be sealed under a key that is gone."""
    async with opened(folder) as vault:
        await furnished(vault)
        async with Busy(vault) as busy:
            rotation = asyncio.create_task(vault.rotate())
            await busy.until_queued(1)
            commit = asyncio.create_task(vault.journal.commit(row(2, 3), row(2, 2, b"2!" * 300)))
            note = asyncio.create_task(vault.notes.write("tickets", b"two"))
            await busy.until_queued(3)
            busy.let_go()
            await asyncio.gather(rotation, commit, note)
        expected = await whole(vault)
        assert row(2, 3) in expected.rows
        assert expected.notes[0] == b"two"
    async with opened(folder) as vault:
        assert await whole(vault) == expected


async def test_a_caller_who_hangs_up_leaves_one_whole_store(folder: Path) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
        async with Busy(vault) as busy:
            rotation = asyncio.create_task(vault.rotate())
            await busy.until_queued(1)
            rotation.cancel()
            busy.let_go()
            with pytest.raises(asyncio.CancelledError):
                await rotation
        assert await whole(vault) == before
        await vault.lock()
        await vault.unlock()
        assert await whole(vault) == before
        await vault.rotate()
    async with opened(folder) as vault:
        assert await whole(vault) == before


async def test_many_at_once_come_one_after_the_other(folder: Path) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(vault.rotate)
                tasks.start_soon(vault.check_key)
            tasks.start_soon(vault.move, "file")
        assert await whole(vault) == before
    async with opened(folder) as vault:
        assert await whole(vault) == before


async def test_a_locked_vault_is_neither_rotated_nor_checked(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.lock()
        before = image(folder)
        for asked in (vault.rotate(), vault.check_key(), vault.move("file")):
            with pytest.raises(Locked):
                await asked
        assert image(folder) == before


async def test_a_source_with_another_key_ends_it_before_anything_was_changed(folder: Path) -> None:
    """Else the store would be sealed under a key that came from who knows where."""
    async with opened(folder) as vault:
        await furnished(vault)
        before = image(folder)
        (folder / "key").write_bytes(b"0" * 64)
        with pytest.raises(KeyFailed, match="does not open this store"):
            await vault.rotate()
        (folder / "key").unlink()
        with pytest.raises(KeyFailed, match="is missing"):
            await vault.rotate()
        assert {name: was for name, was in image(folder).items() if name != "key"} == {
            name: was for name, was in before.items() if name != "key"
        }


@pytest.mark.parametrize("given", [None, "", "battery staple"])
async def test_without_its_passphrase_a_vault_is_not_rotated(folder: Path, given: str | None) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        await vault.unlock(Secret("correct horse"))
        before = image(folder)
        with pytest.raises(KeyFailed):
            await vault.rotate(None if given is None else Secret(given))
        assert image(folder) == before
        await vault.rotate(Secret("correct horse"))
        assert image(folder) != before


async def test_a_rotation_stretches_the_passphrase_with_a_new_salt(folder: Path) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        await vault.unlock(Secret("correct horse"))
        await vault.journal.commit(row(1), None)
        before = await vault._opened.store.transact(store.read_meta)  # type: ignore[union-attr]  # it is open
        await vault.rotate(Secret("correct horse"))
    assert before
    assert (await meta_of(folder)).source != before.source
    async with opened(folder, VaultConfig()) as vault:
        await vault.unlock(Secret("correct horse"))
        assert await vault.rows() == [row(1)]


async def test_what_fails_its_seal_stays_as_it_is_and_what_is_not_trusted_stays_untrusted(folder: Path) -> None:
    async with opened(folder) as vault:
        before = await furnished(vault)
    with inside(folder) as db:
        db.execute("UPDATE records SET sealed = zeroblob(90) WHERE id = ?", (row(2).id,))
        db.execute(
            "UPDATE records SET generation = 1, sealed = (SELECT sealed FROM kept WHERE id = ?1 AND generation = 1)"
            " WHERE id = ?1",
            (row(3).id,),
        )
        db.execute("DELETE FROM records WHERE id = ?", (row(5).id,))
    async with opened(folder) as vault:
        rows = sorted(await vault.rows(), key=repr)
        assert [found.id for found in rows] == sorted([row(1).id, row(4).id], key=bytes.hex)
        assert vault.damaged == 3
        checked = (await vault.check_key()).seals
        assert checked.broken == 3
        assert await vault.rotate() == checked
    async with opened(folder) as vault:
        assert sorted(await vault.rows(), key=repr) == rows
        assert vault.damaged == 3
        assert vault.derive("audit log") == before.derived
        assert await vault.journal.kept(row(2).id) == [row(2, 1, b"2" * 300)], "which may yet help a person"
    assert [sealed for id_, _, sealed in seals(folder)["records"] if id_ == row(2).id] == [bytes(90)]


async def test_an_altered_intent_and_a_damaged_list_stay_in_doubt(folder: Path) -> None:
    async with opened(folder) as vault:
        await furnished(vault)
    with inside(folder) as db:
        db.execute("UPDATE intents SET sealed = zeroblob(60)")
        db.execute("UPDATE manifest SET sealed = zeroblob(60) WHERE part = ?", (row(2).id[0],))
    async with opened(folder) as vault:
        before = sorted(await vault.rows(), key=repr)
        await vault.rotate()
    async with opened(folder) as vault:
        assert sorted(await vault.rows(), key=repr) == before
        assert row(2).id not in {found.id for found in before}
        assert {intent.id: intent.attempts for intent in await vault.journal.intents()} == {row(1).id: DOUBT}
        assert (await vault.check_key()).seals.broken >= 3, "the intent, the list, and the row that it listed"
        assert await vault.journal.commit(row(2, 3), row(2, 2)), "what a daemon has in memory is better than a doubt"
    async with opened(folder) as vault:
        assert row(2, 3) in await vault.rows()


async def test_a_spilled_row_is_in_the_store_before_and_its_copy_opens_nothing_after(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await vault.journal.commit(row(1), None)
            disk.fill()
            assert await vault.journal.commit(row(1, 2), row(1)) is False
            copied = (disk.home / "spill").read_bytes()
            with pytest.raises(StoreFailed, match="is full"):
                await vault.rotate()
            assert (await vault.rows(), vault.spilled) == ([row(1, 2)], 1)
            disk.make_room()
            await vault.rotate()
            assert (await vault.rows(), vault.spilled) == ([row(1, 2)], 0)
            await vault.journal.delete(row(1).id)
        (disk.home / "spill").write_bytes(copied)
        async with opened(disk.home) as vault:
            assert (await vault.rows(), vault.spilled) == ([], 0)


async def test_a_pair_that_spills_after_a_rotation_is_there_at_the_next_start(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await vault.journal.commit(row(1), None)
            await vault.rotate()
            disk.fill()
            assert await vault.journal.commit(row(1, 2), row(1)) is False
        async with opened(disk.home) as vault:
            assert (await vault.rows(), vault.spilled) == ([row(1, 2)], 1)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_store_of_an_older_format_is_rotated_and_its_derived_keys_stay(folder: Path, number: int) -> None:
    dump = (STORES / f"format-{number}.sql").read_text()
    for name, content in (("key", re.findall(r"^-- key: (\w+)$", dump, re.MULTILINE)[0] + "\n"), ("store.db", "")):
        (folder / name).touch(0o600)
        (folder / name).write_text(content)
    with inside(folder) as db:
        db.executescript(dump)
    derived = re.findall(r"^-- derived for the audit log: (\w+)$", dump, re.MULTILINE)
    for _ in range(2):
        async with opened(folder) as vault:
            assert sorted(await vault.rows(), key=repr) == sorted([row(1, 2), row(2)], key=repr)
            assert [intent.attempts for intent in await vault.journal.intents()] == [1]
            assert await vault.journal.kept(row(1).id) == [row(1)]
            assert await vault.notes.read("audit") == (b"head" if number > 1 else None)
            assert [vault.derive("audit log").hex()] == derived or not derived
            await vault.rotate()
    async with opened(folder) as vault:
        assert (await vault.journal.begin(row(1).id, 2, TOKEN)).attempts == 2


def test_a_wrapped_key_is_written_and_read_back_or_refused() -> None:
    first = DataKey.first(bytes(range(32)))
    assert (DataKey.read(first.written()), len(first.written())) == (first, 32)
    later = DataKey(bytes(32), first.lasting, 1_800_000_000)
    assert DataKey.read(later.written()) == later
    for length in range(120):
        if length not in {32, 104}:
            with pytest.raises(BrokenSeal):
                DataKey.read(bytes(length))


def test_no_repr_shows_a_data_key() -> None:
    shown = DataKey.first(b"the very data key of 32 bytes!!!")
    assert "very" not in repr(shown) + str(shown.__rich_repr__())


async def test_a_wrapped_key_of_nonsense_is_a_locked_vault_and_not_a_defect(folder: Path) -> None:
    """Under the right key, so that only a defect or a stranger version of aixtiv writes one."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
    meta = await meta_of(folder)
    key = sealing.derive((folder / "key").read_bytes(), meta.store, "file")
    wrapped = sealing.wrap(key, bytes(33), meta.store, meta.source)
    with inside(folder) as db:
        db.execute("UPDATE meta SET wrapped = ?", (wrapped,))
    vault = vault_in(folder)
    await vault.open()
    assert vault.locked
    assert "does not open this store" in vault.lock_reason
    await vault.aclose()


async def test_an_older_store_put_back_whole_does_not_open_rows_of_the_new_key(folder: Path) -> None:
    """Its wrapped key put into today's store: nothing is served, and nothing is changed."""
    async with opened(folder) as vault:
        await furnished(vault)
    old = await meta_of(folder)
    async with opened(folder) as vault:
        await vault.rotate()
    with inside(folder) as db:
        db.execute("UPDATE meta SET wrapped = ?", (old.wrapped,))
    before = image(folder)
    with pytest.raises(StoreFailed, match="its list of records fails its seal"):
        await vault_in(folder).open()
    assert image(folder) == before
