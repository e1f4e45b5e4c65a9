"""A store's files in the hands of the tests: what a daemon that was killed had on its disk, and older formats."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from aixtiv_protocol.secret import Secret
from aixtivd.accounts.grant import from_row
from aixtivd.vault import keys, sealing, store
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.manifest import Entry, Manifest
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, DataKey, Sealer
from aixtivd.vault.spill import Slot


def kept(state: Path, scratch: Path, passphrase: Secret) -> frozenset[str]:
    """The refresh tokens of every account, newest generation each, that lie in the store or in its slot.

    Read from a copy, row by row, without the daemon's own way to them.
    """
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.log*", "store.lock", "*.new"))
    sealer = _sealer(copy, state, passphrase)
    rows: dict[bytes, Row] = {}
    with closing(sqlite3.connect(copy / "store.db")) as db:
        for id_, generation, sealed in db.execute("SELECT id, generation, sealed FROM records"):
            rows[id_] = Row(id_, generation, sealer.unseal("records", id_, generation, sealed))
    for id_, row in _spilled(copy / "spill", sealer).items():
        if id_ not in rows or rows[id_].generation < row.generation:
            rows[id_] = row
    tokens = (from_row(row).refresh_token for row in rows.values())
    return frozenset(token.reveal() for token in tokens if token)


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


def readable(state: Path, scratch: Path, passphrase: Secret) -> frozenset[str]:
    """As `kept`; nothing where there is no store (yet) that could be read."""
    with suppress(BrokenSeal, FileNotFoundError):
        return kept(state, scratch, passphrase)
    return frozenset()
