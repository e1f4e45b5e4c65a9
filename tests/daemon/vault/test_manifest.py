"""Somebody who may write the files keeps copies of single records, and puts them back one by one: it is noticed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import StoreFailed
from aixtivd.vault.intents import DOUBT
from aixtivd.vault.rows import Row
from aixtivd.vault.vault import Vault
from peers.disks import small_disk
from peers.vaults import crashed, image, inside, opened, row

TOKEN = Secret("refresh-token-Zq81kfPw")
ROOT = 256


async def yesterday_and_today(folder: Path) -> None:
    """A copy of yesterday's file; since then row 1 was refreshed, row 2 signed out, and row 3 left alone."""
    async with opened(folder) as vault:
        for number in (1, 2, 3):
            await vault.journal.commit(row(number), None)
    shutil.copy(folder / "store.db", folder / "yesterday.db")
    async with opened(folder) as vault:
        await vault.journal.commit(row(1, 2), row(1))
        await vault.journal.delete(row(2).id)


def put_back(folder: Path, table: str, key: object) -> None:
    """Yesterday's row of that table into today's store."""
    name = "part" if table == "manifest" else "id"
    with closing(sqlite3.connect(folder / "yesterday.db")) as old, inside(folder) as db:
        values = old.execute(f"SELECT * FROM {table} WHERE {name} = ?", (key,)).fetchone()
        db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)


def take_away(folder: Path, id_: bytes) -> None:
    with inside(folder) as db:
        db.execute("DELETE FROM records WHERE id = ?", (id_,))


def rolled_back(folder: Path) -> None:
    put_back(folder, "records", row(1).id)


def revived(folder: Path) -> None:
    put_back(folder, "records", row(2).id)


def removed(folder: Path) -> None:
    take_away(folder, row(1).id)


def rolled_back_with_its_part(folder: Path) -> None:
    put_back(folder, "records", row(1).id)
    put_back(folder, "manifest", row(1).id[0])


def revived_with_its_part(folder: Path) -> None:
    put_back(folder, "records", row(2).id)
    put_back(folder, "manifest", row(2).id[0])


ATTACKS: dict[Callable[[Path], None], tuple[list[Row], int]] = {
    rolled_back: ([row(3)], 1),
    revived: ([row(1, 2), row(3)], 1),
    removed: ([row(3)], 1),
    rolled_back_with_its_part: ([row(3)], 1),
    revived_with_its_part: ([row(1, 2), row(3)], 1),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_a_single_record_that_was_rolled_back_revived_or_removed_is_noticed(
    folder: Path, attack: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    await yesterday_and_today(folder)
    attack(folder)
    before = image(folder)
    async with opened(folder) as vault:
        served, damaged = ATTACKS[attack]
        assert sorted(await vault.rows(), key=repr) == sorted(served, key=repr)
        assert vault.damaged == damaged
    assert "row-damaged" in caplog.messages
    assert image(folder) == before


async def test_what_was_set_aside_stays_set_aside_after_others_were_changed(folder: Path) -> None:
    await yesterday_and_today(folder)
    rolled_back(folder)
    revived(folder)
    async with opened(folder) as vault:
        await vault.journal.commit(row(3, 2), row(3))
        await vault.journal.commit(row(4), None)
    async with opened(folder) as vault:
        assert sorted(await vault.rows(), key=repr) == sorted([row(3, 2), row(4)], key=repr)
        assert vault.damaged == 2
    with inside(folder) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (4,)


@pytest.mark.parametrize("attack", [rolled_back, removed], ids=lambda attack: attack.__name__)
async def test_a_pair_in_memory_survives_what_is_done_to_its_record_on_disk(
    folder: Path, attack: Callable[[Path], None]
) -> None:
    """The next commit is a legitimate change, and mends it."""
    await yesterday_and_today(folder)
    attack(folder)
    async with opened(folder) as vault:
        await vault.journal.begin(row(1).id, 2, TOKEN)
        assert await vault.journal.commit(row(1, 3), row(1, 2))
    async with opened(folder) as vault:
        assert row(1, 3) in await vault.rows()
        assert (vault.damaged, await vault.journal.intents()) == (0, [])


@pytest.mark.parametrize("what", ["older", "altered", "gone"])
async def test_without_its_list_of_records_a_store_is_refused_and_left_as_it_is(folder: Path, what: str) -> None:
    await yesterday_and_today(folder)
    if what == "older":
        put_back(folder, "manifest", ROOT)  # alone: it does not know today's parts
    with inside(folder) as db:
        if what == "altered":
            db.execute("UPDATE manifest SET sealed = zeroblob(600) WHERE part = ?", (ROOT,))
        if what == "gone":
            db.execute("DELETE FROM manifest WHERE part = ?", (ROOT,))
    before = image(folder)
    if what == "older":
        async with opened(folder) as vault:
            assert await vault.rows() == [row(3)]
            assert vault.damaged == 1
    else:
        with pytest.raises(StoreFailed) as failure:
            async with opened(folder):
                pass
        path = folder / "store.db"
        assert failure.value.sentence == f"the store {path} was altered: its list of records fails its seal"
        assert failure.value.hint == f"mv {path} {path}.altered"
    assert image(folder) == before


async def test_a_running_daemon_knows_better_than_a_list_that_was_damaged_under_it(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        damage = f"UPDATE manifest SET sealed = zeroblob(600) WHERE part = {ROOT}"
        await vault._opened.store.transact(lambda db: db.execute(damage))  # type: ignore[union-attr]  # it is open
        assert await vault.journal.commit(row(1, 2), row(1))
    async with opened(folder) as vault:
        assert (await vault.rows(), vault.damaged) == ([row(1, 2)], 0)


async def begun(vault: Vault, times: int) -> None:
    for _ in range(times):
        await vault.journal.begin(row(1).id, 1, TOKEN)


@pytest.mark.parametrize("how", ["an earlier one", "none"])
async def test_an_intent_that_was_put_back_or_taken_away_is_in_doubt(folder: Path, how: str) -> None:
    """Whoever makes attempts forgotten cannot make aixtiv spend a token once more."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await begun(vault, 1)
    shutil.copy(folder / "store.db", folder / "yesterday.db")
    async with opened(folder) as vault:
        await begun(vault, 1)
    if how == "none":
        with inside(folder) as db:
            db.execute("DELETE FROM intents")
    else:
        put_back(folder, "intents", row(1).id)
    async with opened(folder) as vault:
        assert [intent.attempts for intent in await vault.journal.intents()] == [DOUBT]
        assert (await vault.journal.begin(row(1).id, 1, TOKEN)).attempts == DOUBT + 1


async def test_an_intent_that_was_forgotten_cannot_be_brought_back(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await begun(vault, 1)
    shutil.copy(folder / "store.db", folder / "yesterday.db")
    async with opened(folder) as vault:
        await vault.journal.forget(row(1).id)
    put_back(folder, "intents", row(1).id)
    async with opened(folder) as vault:
        assert await vault.journal.intents() == []


async def test_a_slots_earlier_content_does_not_bring_a_signed_out_row_back(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            disk.fill()
            assert await vault.journal.commit(row(1), None) is False
            spilled = (disk.home / "spill").read_bytes()
            disk.make_room()
            assert await vault.journal.absorb() == 1
            await vault.journal.delete(row(1).id)
        (disk.home / "spill").write_bytes(spilled)
        async with opened(disk.home) as again:
            assert (await again.rows(), again.spilled, again.damaged) == ([], 0, 1)
            await again.journal.commit(row(2), None)
            assert await again.rows() == [row(2)]


async def test_a_slots_earlier_content_does_not_roll_a_damaged_row_back(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await vault.journal.commit(row(1), None)
            disk.fill()
            assert await vault.journal.commit(row(1, 2), row(1)) is False
            spilled = (disk.home / "spill").read_bytes()
            disk.make_room()
            await vault.journal.commit(row(1, 3), row(1, 2))
        (disk.home / "spill").write_bytes(spilled)
        with inside(disk.home) as db:
            db.execute("UPDATE records SET sealed = zeroblob(99)")
        async with opened(disk.home) as again:
            assert (await again.rows(), again.damaged) == ([], 1)
        async with opened(disk.home) as again:
            assert (await again.rows(), again.damaged) == ([], 1)


async def test_a_crash_at_any_change_leaves_nothing_to_complain_of(folder: Path) -> None:
    async with opened(folder) as vault:
        copies = [crashed(folder, folder / "0")]
        for generation in range(1, 6):
            await vault.journal.commit(row(1, generation), row(1, generation - 1) if generation > 1 else None)
            await vault.journal.begin(row(1).id, generation, TOKEN)
            copies.append(crashed(folder, folder / str(generation)))
        await vault.journal.delete(row(1).id)
        copies.append(crashed(folder, folder / "6"))
    for copy, left in zip(copies, ([], *([row(1, n)] for n in range(1, 6)), []), strict=True):
        async with opened(copy) as again:
            assert (await again.rows(), again.damaged) == (left, 0)
