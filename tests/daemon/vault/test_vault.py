"""Opened and locked, again and again, by callers who come at once and hang up."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed, Locked, StoreFailed
from aixtivd.vault import sealing, store
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.sealing import DataKey
from aixtivd.vault.vault import _Unsealed
from peers.busy import Busy
from peers.clock import settle
from peers.vaults import image, opened, row, vault_in

PHRASE = Secret("correct horse")


async def test_a_vault_says_what_it_is(folder: Path) -> None:
    vault = vault_in(folder)
    assert (vault.locked, vault.path, vault.key_source, vault.new) == (True, folder / "store.db", "file", False)
    async with opened(folder) as vault:
        assert (vault.locked, vault.lock_reason, vault.damaged, vault.spilled) == (False, "", 0, 0)


async def test_what_was_asked_before_a_lock_is_done_first(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        async with Busy(vault) as busy:
            commit = asyncio.create_task(vault.journal.commit(row(1, 2), row(1)))
            await settle()
            locking = asyncio.create_task(vault.lock())
            await settle()
            busy.let_go()
            assert await commit is True
            await locking
        assert (vault.locked, vault.lock_reason) == (True, "it was locked on request")
        await vault.unlock()
        assert await vault.rows() == [row(1, 2)]


async def test_what_is_asked_after_a_lock_is_refused(folder: Path) -> None:
    async with opened(folder) as vault, Busy(vault) as busy:
        locking = asyncio.create_task(vault.lock())
        await settle()
        with pytest.raises(Locked):
            await vault.journal.commit(row(1), None)
        busy.let_go()
        await locking


async def test_an_unlock_during_a_lock_waits_for_it(folder: Path) -> None:
    async with opened(folder) as vault:
        async with Busy(vault) as busy:
            locking = asyncio.create_task(vault.lock())
            await settle()
            unlocking = asyncio.create_task(vault.unlock())
            await settle()
            busy.let_go()
            await asyncio.gather(locking, unlocking)
        assert await vault.journal.commit(row(1), None)


async def test_a_cancelled_lock_still_locks_and_can_be_undone(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        async with Busy(vault) as busy:
            locking = asyncio.create_task(vault.lock())
            await settle()
            locking.cancel()
            busy.let_go()
            with pytest.raises(asyncio.CancelledError):
                await locking
        assert vault.locked
        await vault.unlock()
        assert await vault.rows() == [row(1)]


async def test_locking_leaves_one_file_and_no_key_in_use(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.lock()
        assert vault._opened is None
        assert not (folder / "store.db-wal").exists()
        await vault.lock()  # twice is once


async def test_many_unlocks_at_once_make_one_store(folder: Path) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(vault.unlock, PHRASE)
        assert await vault.journal.commit(row(1), None)
    async with opened(folder, VaultConfig(key="passphrase")) as again:
        await again.unlock(PHRASE)
        assert await again.rows() == [row(1)]


async def test_two_first_passphrases_at_once_the_first_is_the_one(folder: Path) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        await asyncio.gather(vault.unlock(PHRASE), vault.unlock(Secret("another")))  # the second finds it open
        await vault.lock()
        with pytest.raises(KeyFailed, match="not the one"):
            await vault.unlock(Secret("another"))
        await vault.unlock(PHRASE)


async def test_a_first_passphrase_whose_caller_hung_up_is_not_replaced_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He may have written it down."""
    reached, go_on = threading.Event(), threading.Event()
    real = store.create

    def slow(path: Path, meta: store.Meta, begin: Callable[[sqlite3.Connection], None]) -> None:
        reached.set()
        assert go_on.wait(20)
        real(path, meta, begin)

    monkeypatch.setattr(store, "create", slow)
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        first = asyncio.create_task(vault.unlock(PHRASE))
        assert await anyio.to_thread.run_sync(reached.wait, 20)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(vault.unlock(Secret("another")))
        await settle()
        go_on.set()
        with pytest.raises(KeyFailed, match="that passphrase is not the one"):
            await second
        await vault.unlock(PHRASE)
        assert not vault.locked


async def test_a_vault_that_was_never_opened_or_is_closed_is_a_sentence(folder: Path) -> None:
    vault = vault_in(folder)
    with pytest.raises(StoreFailed, match="is not open"):
        await vault.unlock()
    await vault.open()
    await vault.aclose()
    await vault.aclose()
    with pytest.raises(StoreFailed, match="is not open"):
        await vault.unlock()
    with pytest.raises(Locked, match="it was closed"):
        await vault.rows()


async def test_closing_waits_for_what_was_asked(folder: Path) -> None:
    vault = vault_in(folder)
    await vault.open()
    async with Busy(vault) as busy:
        commit = asyncio.create_task(vault.journal.commit(row(1), None))
        await settle()
        ending = asyncio.create_task(vault.aclose())
        await settle()
        busy.let_go()
        assert await commit is True
        await ending
    async with opened(folder) as again:
        assert await again.rows() == [row(1)]


async def test_opening_and_closing_a_store_changes_nothing(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
    before = image(folder)
    for _ in range(2):
        async with opened(folder) as vault:
            assert await vault.rows() == [row(1)]
    assert image(folder) == before


async def test_the_key_is_on_disk_before_the_store_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And was read back: a store whose key cannot be had again is never made."""
    seen = []

    def watched(path: Path, meta: store.Meta, _: object) -> None:
        material = (folder / "key").read_bytes()
        key = sealing.derive(material, meta.store, "file")
        seen.append(len(sealing.unwrap(key, meta.wrapped, meta.store, meta.source)))
        raise StoreFailed("stopped here")

    monkeypatch.setattr(store, "create", watched)
    with pytest.raises(StoreFailed, match="stopped here"):
        await vault_in(folder).open()
    assert seen == [32]


async def test_a_key_that_cannot_be_read_back_makes_no_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyFile, "load", lambda self, occasion: b"something else, but long enough to be a key")
    async with opened(folder) as vault:
        assert vault.lock_reason == f"the key file {folder}/key does not hold what was written to it"
        assert not (folder / "store.db").exists()


def test_no_repr_shows_the_data_key() -> None:
    unsealed = _Unsealed(store.Meta(b"", "", "", b""), DataKey.first(b"the very data key of 32 bytes, more"))
    assert "very" not in repr(unsealed) + str(unsealed.__rich_repr__())


def test_a_key_file_store_opens_in_little_time_and_without_heavy_imports(folder: Path) -> None:
    """The bound is generous, for busy machines: about 2 ms where nothing else runs."""
    program = (
        "import asyncio, sys, time; from pathlib import Path\n"
        "from aixtivd.clock import SystemClock; from aixtivd.config import VaultConfig\n"
        "from aixtivd.vault.vault import Vault\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        "        vault = Vault(Path(sys.argv[1]), VaultConfig(key='file'), SystemClock())\n"
        "        start = time.perf_counter(); await vault.open(); took = time.perf_counter() - start\n"
        "        await vault.rows(); await vault.aclose()\n"
        "    heavy = {'keyring', 'aiohttp', 'cryptography.hazmat.primitives.kdf.argon2'} & set(sys.modules)\n"
        "    print(took, *sorted(heavy))\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=30, check=True
    )
    took, *heavy = ran.stdout.split()
    assert heavy == []
    assert float(took) < 0.25
