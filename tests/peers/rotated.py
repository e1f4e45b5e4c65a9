"""What a vault holds, all of it, to be compared before and after its key was changed."""

from pathlib import Path
from typing import Final

import anyio.to_thread
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.vault import keys, sealing, store
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.rows import Intent, Row
from aixtivd.vault.sealing import DataKey
from aixtivd.vault.vault import Vault
from peers.vaults import row

PHRASE: Final = Secret("correct horse")
TOKEN: Final = Secret("refresh-token-Zq81kfPw")


class Whole(Struct, frozen=True):
    """Everything that a rotation has to carry over."""

    rows: list[Row]
    kept: list[Row]
    intents: list[Intent]
    notes: tuple[bytes | None, ...]
    derived: bytes
    damaged: int


async def whole(vault: Vault) -> Whole:
    rows = sorted(await vault.rows(), key=repr)
    return Whole(
        rows=rows,
        kept=[kept for found in rows for kept in await vault.journal.kept(found.id)],
        intents=sorted(await vault.journal.intents(), key=repr),
        notes=(await vault.notes.read("tickets"), await vault.notes.read("audit")),
        derived=vault.derive("audit log"),
        damaged=vault.damaged,
    )


async def furnished(vault: Vault, rows: int = 5, size: int = 300) -> Whole:
    """Rows with an earlier generation each, an intent open for the first of them, two notes."""
    for number in range(1, rows + 1):
        await vault.journal.commit(row(number, 1, b"%d" % number * size), None)
        await vault.journal.commit(row(number, 2, b"%d!" % number * size), row(number, 1, b"%d" % number * size))
    await vault.journal.begin(row(1).id, 2, TOKEN)
    await vault.notes.write("tickets", b"one")
    await vault.notes.write("audit", b"head")
    return await whole(vault)


async def meta_of(folder: Path) -> store.Meta:
    """What a closed store says of itself."""
    return await anyio.to_thread.run_sync(store.examine, folder / "store.db")


async def data_key(folder: Path, passphrase: str = "", backend: str = "") -> DataKey:
    """The one that is wrapped in a closed store, with the key that its source gives."""
    meta = await meta_of(folder)
    source = keys.from_record(meta.source)
    occasion = Occasion(folder, meta.store, Secret(passphrase) if passphrase else None, backend)
    key = sealing.derive(await anyio.to_thread.run_sync(source.load, occasion), meta.store, source.name)
    return DataKey.read(sealing.unwrap(key, meta.wrapped, meta.store, meta.source))
