"""The spill slot: what is written there survives, what is torn counts for nothing, and a full disk loses no grant."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import StoreFailed
from aixtivd.vault.journal import Stale
from aixtivd.vault.manifest import Draft
from aixtivd.vault.sealing import Sealer
from aixtivd.vault.spill import SIZE, Slot
from aixtivd.vault.vault import Vault
from peers.disks import SmallDisk, small_disk
from peers.vaults import crashed, image, opened, row, vault_in

KEY = bytes(range(32))
TOKEN = Secret("refresh-token-Zq81kfPw")


@contextmanager
def slot_in(folder: Path, key: bytes = KEY) -> Iterator[Slot]:
    slot = Slot(folder / "spill", Sealer(key))
    slot.open()
    try:
        yield slot
    finally:
        slot.close()


def rows_in(folder: Path) -> list[object]:
    with slot_in(folder) as slot:
        return list(slot.rows.values())


def test_its_space_is_taken_from_the_start(folder: Path) -> None:
    with slot_in(folder):
        found = (folder / "spill").stat()
    assert found.st_size == SIZE
    assert found.st_blocks * 512 >= SIZE
    assert found.st_mode & 0o777 == 0o600


def test_its_space_is_taken_where_there_is_no_fallocate_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with slot_in(folder) as slot:
        assert (folder / "spill").stat().st_blocks * 512 >= SIZE
        slot.write(row(1))
    assert rows_in(folder) == [row(1)]


def test_rows_come_back_the_newest_of_each(folder: Path) -> None:
    with slot_in(folder) as slot:
        for each in (row(1, 2, b"a"), row(2, 1, b"b"), row(1, 3, b"c")):
            slot.write(each)
        assert list(slot.rows.values()) == [row(1, 3, b"c"), row(2, 1, b"b")]
    assert rows_in(folder) == [row(1, 3, b"c"), row(2, 1, b"b")]


def test_what_is_emptied_is_empty_to_the_last_byte(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
        assert slot.used
        slot.clear()
        assert not slot.used
        assert (folder / "spill").read_bytes() == bytes(SIZE)
        slot.write(row(2))
    assert rows_in(folder) == [row(2)]


def test_a_write_torn_at_any_byte_loses_only_itself(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
        whole = (folder / "spill").read_bytes().rstrip(b"\0")
        slot.write(row(2, payload=b"second"))
    both = (folder / "spill").read_bytes()
    end = len(both.rstrip(b"\0"))
    for torn in range(len(whole), end):
        (folder / "spill").write_bytes(both[:torn] + bytes(SIZE - torn))
        with slot_in(folder) as slot:
            assert list(slot.rows.values()) == [row(1)]
            slot.write(row(3, payload=b"third"))  # over the torn one
        assert rows_in(folder) == [row(1), row(3, payload=b"third")]


def test_an_altered_entry_counts_for_nothing_and_hides_no_other(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
        second = len((folder / "spill").read_bytes().rstrip(b"\0"))
        slot.write(row(2))
    content = bytearray((folder / "spill").read_bytes())
    for at in range(4, second):  # from the id of the first entry to its last byte
        altered = content.copy()
        altered[at] ^= 1
        (folder / "spill").write_bytes(altered)
        with slot_in(folder) as slot:
            assert (list(slot.rows.values()), slot.damaged) == ([row(2)], 1)


@pytest.mark.parametrize("junk", [b"\xff" * SIZE, b"\x00\x00\x00\x01" * (SIZE // 4), os.urandom(SIZE), b"", b"x" * 9])
def test_junk_in_its_place_is_survived(folder: Path, junk: bytes) -> None:
    (folder / "spill").write_bytes(junk)
    with slot_in(folder) as slot:
        assert slot.rows == {}
        slot.write(row(1))
    assert rows_in(folder) == [row(1)]
    assert (folder / "spill").stat().st_size == SIZE


def test_another_stores_entries_are_not_taken_over(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
    with slot_in(folder, bytes(32)) as foreign:
        assert foreign.rows == {}


def test_a_row_that_does_not_fit_is_refused_and_hurts_nothing(folder: Path) -> None:
    with slot_in(folder) as slot:
        slot.write(row(1))
        with pytest.raises(OSError, match="No space left"):
            slot.write(row(2, payload=bytes(SIZE)))
    assert rows_in(folder) == [row(1)]


async def spill(vault: Vault, disk: SmallDisk) -> None:
    """Row 1 at generation 1 in the store, generation 2 in the slot, its intent open; the disk is full."""
    assert await vault.journal.commit(row(1), None)
    await vault.journal.begin(row(1).id, 1, TOKEN)
    disk.fill()
    assert await vault.journal.commit(row(1, 2, b"new"), row(1)) is False


async def test_on_a_full_disk_a_commit_goes_to_the_slot(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            assert await vault.rows() == [row(1, 2, b"new")]
            assert await vault.journal.intents() == []
            assert vault.spilled == 1


async def test_on_a_full_disk_nothing_is_begun(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            for asked in (vault.journal.begin(row(1).id, 2, TOKEN), vault.journal.probe(), vault.journal.absorb()):
                with pytest.raises(StoreFailed) as failure:
                    await asked
                assert failure.value.sentence == f"the disk that holds {disk.home}/store.db is full"
                assert failure.value.hint == f"df -h {disk.home}"
            assert await vault.journal.intents() == []


async def test_with_room_again_it_is_absorbed_and_the_slot_is_empty(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            disk.make_room()
            assert await vault.journal.absorb() == 1
            assert (await vault.journal.absorb(), vault.spilled) == (0, 0)
            assert await vault.rows() == [row(1, 2, b"new")]
            assert await vault.journal.kept(row(1).id) == [row(1)]
            assert (disk.home / "spill").read_bytes() == bytes(SIZE)
            assert await vault.journal.commit(row(1, 3), row(1, 2))
        async with opened(disk.home) as again:
            assert await again.rows() == [row(1, 3)]


async def test_any_write_absorbs(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            disk.make_room()
            assert (await vault.journal.begin(row(1).id, 2, TOKEN)).attempts == 1
            assert vault.spilled == 0
            assert await vault.journal.commit(row(1, 3), row(1, 2))
            assert [kept.generation for kept in await vault.journal.kept(row(1).id)] == [2, 1]


async def test_a_restart_on_the_full_disk_serves_the_new_row(folder: Path) -> None:
    """Ended in order or killed: either way the pair is there, and is absorbed when there is room."""
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            copy = crashed(disk.home, folder / "crashed")
        for home in (disk.home, copy):
            disk.fill()  # also what a closed vault's WAL had taken
            async with opened(home) as again:
                assert await again.rows() == [row(1, 2, b"new")]
                assert await again.journal.intents() == []
        assert vault_in(disk.home).spilled == 0
        disk.fill()
        async with opened(disk.home) as still_full:
            assert still_full.spilled == 1
        disk.make_room()
        async with opened(disk.home) as roomy:
            assert (roomy.spilled, await roomy.rows()) == (0, [row(1, 2, b"new")])


async def test_a_second_spill_of_the_same_row_supersedes_the_first(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            assert await vault.journal.commit(row(1, 3, b"newer"), row(1, 2, b"new")) is False
            assert await vault.journal.commit(row(2), None) is False
            assert vault.spilled == 2
            with pytest.raises(Stale):
                await vault.journal.commit(row(1, 4, b"late"), row(1, 2, b"new"))
        disk.make_room()
        async with opened(disk.home) as again:
            assert sorted(await again.rows(), key=repr) == sorted([row(1, 3, b"newer"), row(2)], key=repr)


async def test_a_slot_that_was_absorbed_but_not_emptied_changes_nothing(folder: Path) -> None:
    """Killed between the commit and the emptying; and later generations came since."""
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            left = (disk.home / "spill").read_bytes()
            disk.make_room()
            await vault.journal.absorb()
            await vault.journal.commit(row(1, 3), row(1, 2))
        (disk.home / "spill").write_bytes(left)
        async with opened(disk.home) as again:
            assert (await again.rows(), again.spilled) == ([row(1, 3)], 0)
            assert [kept.generation for kept in await again.journal.kept(row(1).id)] == [2, 1]


async def test_a_spilled_row_wins_over_a_stored_one_whose_generation_was_forged(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            disk.make_room()
            forge = "UPDATE records SET generation = 99"
            await vault._opened.store.transact(lambda db: db.execute(forge))  # type: ignore[union-attr]  # it is open
            assert await vault.journal.absorb() == 1
            assert await vault.rows() == [row(1, 2, b"new")]


async def test_a_logout_leaves_no_copy_in_the_slot(folder: Path) -> None:
    """Else the next start would bring the account back."""
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            with pytest.raises(StoreFailed, match="is full"):
                await vault.journal.delete(row(1).id)
            assert await vault.rows() == [row(1, 2, b"new")]  # nothing changed
            disk.make_room()
            await vault.journal.delete(row(1).id)
            assert (disk.home / "spill").read_bytes() == bytes(SIZE)
        async with opened(disk.home) as again:
            assert await again.rows() == []


async def test_a_row_that_neither_took_is_told_and_can_be_given_again(folder: Path) -> None:
    big = row(1, 2, bytes(SIZE + 1))
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            assert await vault.journal.commit(row(1), None)
            disk.fill()
            with pytest.raises(StoreFailed) as failure:
                await vault.journal.commit(big, row(1))
            assert failure.value.sentence == (
                f"neither the store nor the spill slot {disk.home}/spill can be written: no space left on device"
            )
            assert await vault.rows() == [row(1)]
            disk.make_room()
            assert await vault.journal.commit(big, row(1))
            assert await vault.rows() == [big]


async def test_a_disk_that_fills_up_in_the_middle_of_many_commits_loses_none(folder: Path) -> None:
    """Every commit that returned is there after a crash, whether it reached the store or the slot."""
    with small_disk(folder, "1m") as disk:
        async with opened(disk.home) as vault:
            took = [await vault.journal.commit(row(n, payload=os.urandom(4000)), None) for n in range(20)]
            generation, mine = 1, row(0)
            while all(took) or took.count(False) < 40:  # the WAL grows until it cannot
                generation += 1
                mine = row(0, generation, os.urandom(4000))
                last = next(found for found in await vault.rows() if found.id == mine.id)
                took.append(await vault.journal.commit(mine, last))
                if generation == 30:
                    disk.fill()
            there = await vault.rows()
            copy = crashed(disk.home, folder / "crashed")
        async with opened(copy) as again:
            assert sorted(await again.rows(), key=repr) == sorted(there, key=repr)
            assert next(found for found in there if found.id == mine.id) == mine


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writes beyond fail with EFBIG, which SQLite calls an input/output error: a failing disk that a test can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_failing_disk_is_survived_like_a_full_one(folder: Path) -> None:
    async with opened(folder) as vault:
        assert await vault.journal.commit(row(1), None)
        while (folder / "store.db-wal").stat().st_size < 2 * SIZE:
            await vault.journal.probe()
        with files_no_larger_than(SIZE + 1):
            with pytest.raises(StoreFailed) as failure:
                await vault.journal.probe()
            assert failure.value.sentence == f"the disk that holds {folder}/store.db fails (input/output error)"
            assert await vault.journal.commit(row(1, 2), row(1)) is False
            assert await vault.rows() == [row(1, 2)]
        assert await vault.journal.commit(row(1, 3), row(1, 2))
        assert (await vault.rows(), vault.spilled) == ([row(1, 3)], 0)


async def test_a_commit_that_failed_in_words_only_is_not_spilled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store has the row after all, the slot must not hold it too."""
    real = Draft.save

    def save_and_fail(draft: Draft) -> None:
        real(draft)
        draft._db.execute("COMMIT")
        raise sqlite3.OperationalError("disk I/O error")

    async with opened(folder) as vault:
        monkeypatch.setattr(Draft, "save", save_and_fail)
        assert await vault.journal.commit(row(1), None) is True
        assert (await vault.rows(), vault.spilled) == ([row(1)], 0)
        monkeypatch.undo()
        assert await vault.journal.commit(row(1, 2), row(1))
    async with opened(folder) as again:
        assert (await again.rows(), again.damaged) == ([row(1, 2)], 0)


@pytest.mark.parametrize("left", ["spill", "store.db-wal"])
async def test_a_new_store_is_not_made_over_the_remains_of_another(folder: Path, left: str) -> None:
    """They may belong to a store that comes back from a backup; and SQLite would play the WAL into a new one."""
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await spill(vault, disk)
            home = crashed(disk.home, folder / "crashed")
    (home / "store.db").rename(folder / "backup")
    (home / ({"spill", "store.db-wal"} - {left}).pop()).unlink()
    before = image(home)
    with pytest.raises(StoreFailed) as failure:
        await vault_in(home).open()
    assert failure.value.sentence == f"the store {home}/store.db is missing, but {home}/{left} holds part of it"
    assert failure.value.hint == f"mv {home}/{left} {home}/{left}.old"
    assert image(home) == before
    (folder / "backup").rename(home / "store.db")
    async with opened(home) as vault:
        assert len(await vault.rows()) == 1
