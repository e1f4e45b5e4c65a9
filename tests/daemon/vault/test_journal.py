"""The rotation journal: intents before, successors after, and never the wrong one."""

import asyncio
import os
from pathlib import Path

import anyio
import msgspec
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import Locked, StoreFailed
from aixtivd.vault.journal import Stale
from aixtivd.vault.kept import GRACE, SWEEP
from aixtivd.vault.rows import Intent, Relabelled, Row
from peers.clock import FakeClock
from peers.leaks import files_under, leaks
from peers.vaults import SECRET, crashed, image, opened, row

TOKEN = Secret("refresh-token-Zq81kfPw")


async def test_an_intent_survives_a_crash_and_a_commit_ends_it(folder: Path) -> None:
    clock = FakeClock(wall=1_800_000_000.0)
    async with opened(folder, clock=clock) as vault:
        await vault.journal.commit(row(1), None)
        begun = await vault.journal.begin(row(1).id, 1, TOKEN)
        assert begun == Intent(row(1).id, 1, attempts=1, begun_at=1_800_000_000.0)
        copy = crashed(folder)
        assert await vault.journal.commit(row(1, 2), row(1))
        assert await vault.journal.intents() == []
    async with opened(copy) as again:
        assert await again.journal.intents() == [begun]
        assert await again.rows() == [row(1)]


async def test_attempts_with_the_same_token_are_counted(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        attempts = [(await vault.journal.begin(row(1).id, 1, TOKEN)).attempts for _ in range(3)]
        assert attempts == [1, 2, 3]
        assert (await vault.journal.begin(row(1).id, 1, Secret("another token"))).attempts == 1


async def test_attempts_are_counted_over_a_crash(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        copy = crashed(folder)
    async with opened(copy) as again:
        assert (await again.journal.begin(row(1).id, 1, TOKEN)).attempts == 2


async def test_a_new_generation_counts_anew(folder: Path) -> None:
    """Some servers do not rotate: the token is the same one, and was not lost."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        await vault.journal.commit(row(1, 2), row(1))
        assert (await vault.journal.begin(row(1).id, 2, TOKEN)).attempts == 1


async def test_a_forgotten_attempt_leaves_no_intent(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        await vault.journal.forget(row(1).id)
        assert await vault.journal.intents() == []
        await vault.journal.forget(row(1).id)  # nothing to forget is nothing wrong


async def test_a_forgotten_attempt_leaves_an_earlier_lost_one(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        await vault.journal.forget(row(1).id)
        assert [intent.attempts for intent in await vault.journal.intents()] == [1]


@pytest.mark.parametrize(
    ("stored", "previous"),
    [(None, 1), (1, None), (2, 1), (1, 2)],
    ids=["gone", "already there", "overtaken", "never seen"],
)
async def test_a_late_answer_is_dropped(folder: Path, stored: int | None, previous: int | None) -> None:
    async with opened(folder) as vault:
        if stored:
            await vault.journal.commit(row(1, stored), None)
        before = await vault.rows()
        with pytest.raises(Stale):
            await vault.journal.commit(row(1, 9, b"late"), row(1, previous) if previous else None)
        assert await vault.rows() == before
        assert await vault.journal.kept(row(1).id) == []


async def test_nothing_is_begun_with_a_generation_that_is_not_the_stores(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1, 2), None)
        with pytest.raises(Stale):
            await vault.journal.begin(row(1).id, 1, TOKEN)
        assert await vault.journal.intents() == []


async def test_the_first_of_two_answers_wins(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        results = await asyncio.gather(
            *(vault.journal.commit(row(1, 2, b"answer %d" % n), row(1)) for n in range(8)), return_exceptions=True
        )
        assert results[0] is True
        assert all(isinstance(result, Stale) for result in results[1:])
        assert await vault.rows() == [row(1, 2, b"answer 0")]


@pytest.mark.parametrize("new", [Row(b"short", 2, b""), row(1, 1), row(1, 0)], ids=repr)
async def test_a_row_that_does_not_follow_is_a_mistake_of_ours(folder: Path, new: Row) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        with pytest.raises(ValueError, match="above the one before"):
            await vault.journal.commit(new, row(1))


async def test_the_previous_generation_is_kept_for_its_grace_time(folder: Path) -> None:
    clock = FakeClock()
    async with opened(folder, clock=clock) as vault:
        await vault.journal.commit(row(1, 1, b"one"), None)
        await vault.journal.commit(row(1, 2, b"two"), row(1, 1, b"one"))
        clock.advance(GRACE / 2)
        await vault.journal.commit(row(1, 3, b"three"), row(1, 2, b"two"))
        assert await vault.journal.kept(row(1).id) == [row(1, 2, b"two"), row(1, 1, b"one")]
        clock.advance(GRACE / 2 + 1)
        await vault.journal.commit(row(2), None)  # any later commit prunes
        assert await vault.journal.kept(row(1).id) == [row(1, 2, b"two")]


async def test_what_is_kept_is_not_looked_through_at_every_commit(folder: Path) -> None:
    clock = FakeClock()
    async with opened(folder, clock=clock) as vault:
        looks: list[str] = []
        await vault._open_parts().store.transact(lambda db: db.set_trace_callback(looks.append))
        await vault.journal.commit(row(1), None)
        for generation in range(2, 12):
            await vault.journal.commit(row(1, generation), row(1, generation - 1))
        assert len(sweeps(looks)) == 1
        clock.advance(SWEEP)
        await vault.journal.commit(row(1, 12), row(1, 11))
        assert len(sweeps(looks)) == 2


def sweeps(statements: list[str]) -> list[str]:
    return [statement for statement in statements if "kept WHERE until" in statement]


async def test_of_a_token_that_lives_for_a_second_three_generations_are_kept(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(2), None)
        await vault.journal.commit(row(2, 2), row(2))
        for generation in range(1, 9):
            await vault.journal.commit(row(1, generation), row(1, generation - 1) if generation > 1 else None)
        assert await vault.journal.kept(row(1).id) == [row(1, 7), row(1, 6), row(1, 5)]
        assert await vault.journal.kept(row(2).id) == [row(2)]


async def test_however_many_sign_ins_were_replaced_three_generations_are_kept(folder: Path) -> None:
    """The one before, and the last ones of the newest two sign-ins that were replaced: no refresh pushes those out."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        for generation in range(2, 9):
            before = msgspec.structs.replace(row(1, generation - 1), last=generation < 6)
            await vault.journal.commit(row(1, generation), before)
        assert [kept.generation for kept in await vault.journal.kept(row(1).id)] == [7, 4, 3]


async def test_a_probe_writes_and_changes_no_row(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        wal = (folder / "store.db-wal").stat().st_size
        await vault.journal.probe()
        assert (folder / "store.db-wal").stat().st_size >= wal + 8192
        assert await vault.rows() == [row(1)]


async def test_a_logout_leaves_nothing_of_the_row(folder: Path) -> None:
    """Not even sealed: no byte of what was on disk for it can be found afterwards."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(1, 2), row(1))
        await vault.journal.begin(row(1).id, 2, TOKEN)
        await vault.journal.commit(row(2), None)
        held = await sealed_values(vault, row(1).id)
        assert len(held) == 3
        assert all(any(value in content for content in files_under(folder).values()) for value in held)
        await vault.journal.delete(row(1).id)
        for content in files_under(folder).values():
            assert not any(value[at : at + 16] in content for value in held for at in range(0, len(value) - 16, 16))
            assert row(1).id not in content
        assert await vault.rows() == [row(2)]
        assert await vault.journal.kept(row(1).id) == []
        assert await vault.journal.intents() == []


async def sealed_values(vault: object, id_: bytes) -> list[bytes]:
    store = vault._opened.store  # type: ignore[attr-defined]  # a test may look inside
    found: list[bytes] = []
    for table in ("records", "kept", "intents"):
        query = f"SELECT sealed FROM {table} WHERE id = ?"
        found += [sealed for (sealed,) in await store.transact(lambda db, q=query: db.execute(q, (id_,)).fetchall())]
    return found


async def test_nothing_on_disk_can_be_read(folder: Path) -> None:
    """Neither payload, nor token, nor a name: searched for in every file, in the WAL while it is hot, in the slot."""
    key = Secret("api-key-71bd0f9e5c2a")
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.begin(row(1).id, 1, TOKEN)
        await vault.journal.commit(row(1, 2), row(1))
        await vault.journal.commit(row(2, 1, key.reveal().encode()), None)
        slot = vault._opened.ledger.slot  # type: ignore[union-attr]  # it is open
        await vault._opened.store.transact(lambda _: slot.write(row(3)))  # type: ignore[union-attr]  # as above
        await vault.journal.begin(row(1).id, 2, TOKEN)
        copy = crashed(folder)
    secrets = [SECRET.decode(), TOKEN.reveal(), key.reveal(), "anthropic/work", "alice@example.org"]
    assert leaks(secrets, files_under(folder, copy)) == []
    assert {"store.db", "store.db-wal", "spill", "key"} <= {path.name for path in copy.iterdir()}


@pytest.mark.parametrize("what", ["begin", "forget", "commit", "probe", "delete", "intents", "kept", "absorb"])
async def test_a_locked_vault_does_nothing(folder: Path, what: str) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.lock()
        before = image(folder)
        arguments = {
            "begin": (row(1).id, 1, TOKEN),
            "commit": (row(1, 2), row(1)),
            "forget": (row(1).id,),
            "delete": (row(1).id,),
            "kept": (row(1).id,),
        }
        with pytest.raises(Locked, match="locked on request"):
            await getattr(vault.journal, what)(*arguments.get(what, ()))
        with pytest.raises(Locked):
            await vault.rows()
        assert image(folder) == before


@pytest.mark.parametrize("how", ["anyio", "asyncio"])
async def test_a_caller_that_hangs_up_does_not_undo_its_commit(folder: Path, how: str) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        if how == "asyncio":
            task = asyncio.create_task(vault.journal.commit(row(1, 2), row(1)))
            await asyncio.sleep(0)  # asked for
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with anyio.CancelScope() as scope:
                asyncio.get_running_loop().call_soon(scope.cancel)
                await vault.journal.commit(row(1, 2), row(1))
        assert await vault.rows() == [row(1, 2)]
        assert await vault.journal.kept(row(1).id) == [row(1)]


async def test_without_its_slot_nothing_is_spent(folder: Path) -> None:
    """On a disk that fills up the new pair would have nowhere to go."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        slot = vault._opened.ledger.slot  # type: ignore[union-attr]  # it is open
        slot.close()
        slot.path.unlink()
        slot.path.mkdir()
        with pytest.raises(StoreFailed) as failure:
            await vault.journal.begin(row(1).id, 1, TOKEN)
        assert failure.value.sentence == f"the spill slot {folder}/spill cannot be reserved: is a directory"
        with pytest.raises(StoreFailed):
            await vault.journal.probe()
        assert await vault.journal.intents() == []
        slot.path.rmdir()
        assert (await vault.journal.begin(row(1).id, 1, TOKEN)).attempts == 1
        assert slot.path.stat().st_size == 256 * 1024


async def test_a_thousand_rows_come_back(folder: Path) -> None:
    rows = [Row(os.urandom(16), 1, os.urandom(64)) for _ in range(1000)]
    async with opened(folder) as vault:
        async with anyio.create_task_group() as tasks:
            for each in rows:
                tasks.start_soon(vault.journal.commit, each, None)
        assert sorted(await vault.rows(), key=lambda found: found.id) == sorted(rows, key=lambda made: made.id)


async def test_a_relabelled_row_keeps_its_intent_and_pushes_nothing_out(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(1, 2), row(1))
        await vault.journal.begin(row(1).id, 2, TOKEN)
        renamed = Relabelled(((row(1, 3, b"another name"), row(1, 2)),), (row(1, 1, b"the same"),), (("a", b"note"),))
        await vault.journal.relabel(renamed)
        assert await vault.rows() == [row(1, 3, b"another name")]
        assert await vault.journal.kept(row(1).id) == [row(1, 1, b"the same")]
        assert await vault.notes.read("a") == b"note"
        assert [(one.generation, one.attempts) for one in await vault.journal.intents()] == [(3, 1)]
        assert (await vault.journal.begin(row(1).id, 3, TOKEN)).attempts == 2
        copy = crashed(folder)
    async with opened(copy) as again:
        assert (await again.journal.begin(row(1).id, 3, TOKEN)).attempts == 3
        assert await again.journal.kept(row(1).id) == [row(1, 1, b"the same")]


async def test_nothing_is_left_of_what_is_wiped(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        for number in (2, 3):
            await vault.journal.commit(row(1, number), row(1, number - 1))
        held = await sealed_values(vault, row(1).id)
        gone = Row(row(1).id, 1, b"")
        less = ((row(1, 4, b"less"), row(1, 3)),)
        await vault.journal.relabel(Relabelled(less, (row(1, 2, b"less"), gone), wipes=True))
        assert await vault.journal.kept(row(1).id) == [row(1, 2, b"less")]
        for content in files_under(folder).values():
            assert not any(value[at : at + 16] in content for value in held for at in range(0, len(value) - 16, 16))


async def test_rows_are_relabelled_all_of_them_or_none(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(2, 5), None)
        stale = Relabelled(((row(1, 2), row(1)), (row(2, 5), row(2, 4))), (), (("a", b"note"),))
        with pytest.raises(Stale):
            await vault.journal.relabel(stale)
        assert sorted(one.generation for one in await vault.rows()) == [1, 5]
        assert await vault.notes.read("a") is None


async def test_what_is_kept_says_until_when(folder: Path) -> None:
    clock = FakeClock(wall=1_800_000_000.0)
    async with opened(folder, clock=clock) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(1, 2), row(1))
        (kept,) = await vault.journal.kept_until(row(1).id)
        assert (kept.row, kept.until) == (row(1), 1_800_000_000.0 + GRACE)
