"""A store's files in the hands of the tests: what a daemon that was killed had on its disk, and older formats."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.accounts.grant import from_row
from aixtivd.vault import keys, sealing, store
from aixtivd.vault.intents import Begun
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.manifest import Entry, Manifest
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, DataKey, Sealer
from aixtivd.vault.spill import Slot

_SEALED: Final = ("records", "kept", "intents", "manifest", "notes")
_TOLD: Final = 28  # bytes of a seal: its nonce and some more, which are nowhere else
_COPIES: Final = 5  # of files that change meanwhile
_begun: Final = msgspec.msgpack.Decoder(Begun)


class Kept(Struct, frozen=True):
    """What lies in a store and its slot. Tokens are those of every account, newest generation each."""

    tokens: frozenset[str] = frozenset()
    begun: dict[str, str] = {}  # account -> its refresh token, whose use is on record
    aside: frozenset[str] = frozenset()  # tokens that are not tried any more
    names: frozenset[str] = frozenset()  # of which any generation is there
    unfinished: frozenset[str] = frozenset()  # accounts whose pair is in neither store nor slot, of those in `begun`
    strays: frozenset[str] = frozenset()  # tables that hold something of an account that there is not


def kept(state: Path, scratch: Path, passphrase: Secret) -> Kept:
    """Read from a copy, row by row, without the daemon's own way to them."""
    copy = _copied(state, scratch)
    sealer = _sealer(copy, state, passphrase)
    with closing(sqlite3.connect(copy / "store.db")) as db:
        records, earlier, intents = (list(_rows(db, table, sealer)) for table in ("records", "kept", "intents"))
    rows = {row.id: row for row in records}
    for id_, row in _spilled(copy / "spill", sealer).items():
        if id_ not in rows or rows[id_].generation < row.generation:
            rows[id_] = row
    grants = {id_: from_row(row) for id_, row in rows.items()}
    tokens = {id_: grant.refresh_token.reveal() for id_, grant in grants.items() if grant.refresh_token}
    begun = {row.id: _begun.decode(row.payload).spending for row in intents}
    return Kept(
        frozenset(tokens.values()),
        {grants[id_].name: token for id_, token in tokens.items() if begun.get(id_) == sealer.fingerprint(token)},
        frozenset(token for id_, token in tokens.items() if grants[id_].quarantined),
        frozenset(grant.name for grant in (*grants.values(), *map(from_row, earlier))),
        frozenset(
            grants[one.id].name for one in intents if one.id in rows and rows[one.id].generation <= one.generation
        ),
        frozenset(name for name, of in (("kept", earlier), ("intents", intents)) if {row.id for row in of} - set(rows)),
    )


def _copied(state: Path, scratch: Path) -> Path:
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.log*", "store.lock", "*.new"))
    return copy


def _rows(db: sqlite3.Connection, table: str, sealer: Sealer) -> Iterator[Row]:
    for id_, generation, sealed in db.execute(f"SELECT id, generation, sealed FROM {table}"):  # a constant
        yield Row(id_, generation, sealer.unseal(table, id_, generation, sealed))


class Seals(Struct, frozen=True):
    """All that is sealed in a store under one data key, and that key as it is wrapped: told by its first bytes."""

    wrapped: bytes
    told: frozenset[bytes]


def seals(state: Path, scratch: Path) -> Seals:
    """Of a daemon that runs. It may change a file while that is copied: then it is copied again."""
    for _ in range(_COPIES):
        with suppress(sqlite3.Error, OSError, shutil.Error):
            return _seals(state, scratch)
    return _seals(state, scratch)


def _seals(state: Path, scratch: Path) -> Seals:
    with closing(sqlite3.connect(_copied(state, scratch) / "store.db")) as db:
        (wrapped,) = db.execute("SELECT wrapped FROM meta").fetchone()
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema") if name in _SEALED]
        found = [sealed for table in tables for (sealed,) in db.execute(f"SELECT sealed FROM {table}")]  # as above
    return Seals(wrapped, frozenset(sealed[:_TOLD] for sealed in (*found, wrapped)))


def left(state: Path, before: Seals) -> list[str]:
    """The files in which something of that lies yet, be it on a page that is free."""
    files = (state / name for name in ("store.db", "store.db-wal", "spill"))
    return [path.name for path in files if path.exists() and _holds(path.read_bytes(), before.told)]


def _holds(data: bytes, any_of: frozenset[bytes]) -> bool:
    return any(told in data for told in any_of)


def _spilled(path: Path, sealer: Sealer) -> dict[bytes, Row]:
    slot = Slot(path, sealer)
    if path.exists():
        slot.open()
    found = dict(slot.rows)
    slot.close()
    return found


def _sealer(copy: Path, state: Path, passphrase: Secret) -> Sealer:
    meta = store.examine(copy / "store.db")
    source = keys.from_record(meta.source)
    key = sealing.derive(source.load(Occasion(state, meta.store, passphrase)), meta.store, source.name)
    data_key = DataKey.read(sealing.unwrap(key, meta.wrapped, meta.store, meta.source))
    return Sealer(data_key.seals, data_key.lasting)


def make_older(state: Path, version: int, passphrase: Secret) -> None:
    """The store as an older aixtiv would have left it. It may have been killed; nobody has it open now."""
    sealer = _sealer(state, state, passphrase)
    with closing(sqlite3.connect(state / "store.db", isolation_level=None)) as db:
        if version < 2:
            _forget_notes(db, sealer)
            for log in state.glob("audit.log*"):
                log.unlink()  # there was none: its end is a note
        db.execute(f"PRAGMA user_version = {version}")


def _forget_notes(db: sqlite3.Connection, sealer: Sealer) -> None:
    """There were none before format 2, and no word of them in the manifest."""
    with store.transaction(db):
        manifest = Manifest(sealer)
        manifest.start(db)
        draft = manifest.draft(db)
        for (id_,) in db.execute("SELECT id FROM notes").fetchall():
            draft.put(id_, Entry())
        draft.save()
        db.execute("DROP TABLE notes")


def readable(state: Path, scratch: Path, passphrase: Secret) -> Kept:
    """As `kept`; nothing where there is no store (yet) that could be read."""
    with suppress(BrokenSeal, FileNotFoundError):
        return kept(state, scratch, passphrase)
    return Kept()
