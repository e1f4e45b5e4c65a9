"""What `aixtiv key check` finds: every seal, and the key as the next start would."""

from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from peers.rotated import furnished
from peers.vaults import opened, row


async def test_a_check_counts_every_seal_and_says_when_the_key_was_made(folder: Path) -> None:
    async with opened(folder) as vault:
        await furnished(vault, rows=5)
        found = await vault.check_key()
        assert vault._opened
        (parts,) = await vault._opened.store.transact(
            lambda db: db.execute("SELECT count(*) FROM manifest WHERE part < 256").fetchone()
        )
        assert (found.seals.held, found.seals.broken) == (5 + 5 + 1 + 2 + parts, 0)
        assert (found.made_at, found.cost) == (0, "")
        await vault.rotate()
        assert (await vault.check_key()).made_at == 1_800_000_000


async def test_a_check_asks_for_the_key_and_reads_the_store_as_it_lies_on_disk(folder: Path) -> None:
    """So that it tells today what the next start will find."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        good = (folder / "key").read_bytes()
        (folder / "key").write_bytes(b"0" * 64)
        with pytest.raises(KeyFailed, match="does not open this store"):
            await vault.check_key()
        (folder / "key").write_bytes(good)
        await vault._opened.store.transact(  # type: ignore[union-attr]  # it is open
            lambda db: db.execute("UPDATE meta SET wrapped = zeroblob(60)")
        )
        with pytest.raises(KeyFailed, match="does not open this store"):
            await vault.check_key()


async def test_a_check_tries_a_passphrase_that_is_given_and_no_other(folder: Path) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        await vault.unlock(Secret("correct horse"))
        assert (await vault.check_key()).cost == "Argon2id, 8 KiB, iterations: 1, lanes: 1"
        await vault.check_key(Secret("correct horse"))
        with pytest.raises(KeyFailed, match="not the one"):
            await vault.check_key(Secret("battery staple"))
    async with opened(folder / "other") as vault:
        with pytest.raises(KeyFailed, match="not from a passphrase"):
            await vault.check_key(Secret("correct horse"))
