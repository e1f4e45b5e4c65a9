"""Notes in SQL: small sealed records, found by a name that does not stand on disk."""

import shlex
import sqlite3
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from aixtivd.errors import StoreFailed
from aixtivd.vault import sealing
from aixtivd.vault.manifest import NONE, Draft, Entry
from aixtivd.vault.sealing import ID, BrokenSeal, Sealer
from aixtivd.vault.store import expect_written

T = TypeVar("T")

_TABLE: Final = "notes"


class DamagedNote(StoreFailed):
    """a note of the store is not the one that was written last"""


def read(db: sqlite3.Connection, sealer: Sealer, draft: Draft, name: str) -> bytes | None:
    """Raises DamagedNote: it was altered, rolled back, taken away, or put there."""
    id_ = _id(sealer, name)
    listed = draft.entry(id_).note
    found = db.execute("SELECT generation, sealed FROM notes WHERE id = ?", (id_,)).fetchone()
    if found is None and listed == NONE and not draft.doubtful(id_):
        return None
    if found is not None and found[0] == listed:
        with suppress(BrokenSeal):
            return sealer.unseal(_TABLE, id_, *found)
    raise DamagedNote(f"the store's note about {name} was altered or put back", hint=_look(db))


def decoded(decoder: msgspec.msgpack.Decoder[T], payload: bytes, name: str) -> T:
    """Raises DamagedNote: its seal holds, and it is none that this aixtiv can read."""
    try:
        return sealing.read(decoder, payload)
    except BrokenSeal:
        raise DamagedNote(f"the store's note about {name} is none that this aixtiv can read", hint="") from None


def write(db: sqlite3.Connection, sealer: Sealer, draft: Draft, name: str, payload: bytes) -> None:
    """Part of a change of the store."""
    id_ = _id(sealer, name)
    generation = draft.root.number + 1  # of the change: never used before, whatever was done to the list
    sealed = sealer.seal(_TABLE, id_, generation, payload)
    expect_written(db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (id_, generation, sealed)))
    draft.put(id_, Entry(note=generation))


def _id(sealer: Sealer, name: str) -> bytes:
    return sealer.derive(f"name of the note {name}")[:ID]


def _look(db: sqlite3.Connection) -> str:
    (_, _, path) = db.execute("PRAGMA database_list").fetchone()
    return f"ls -l {shlex.quote(path)}"
