"""Intents in SQL: which token is about to be spent, and how often that was begun."""

import sqlite3
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from aixtivd import log
from aixtivd.vault import sealing
from aixtivd.vault.manifest import Draft
from aixtivd.vault.sealing import BrokenSeal, Sealer
from aixtivd.vault.store import expect_written, remove

DOUBT: Final = 2
"""Attempts that an unreadable intent counts as: it may have been anything, so aixtiv does not try by itself."""

_TABLE: Final = "intents"
_UNKNOWN: Final = b""  # what an intent spent that cannot be read


class Begun(Struct, frozen=True, array_like=True):
    """What an intent seals. `spending` is a fingerprint, not the token."""

    spending: bytes
    attempts: int
    begun_at: float

    def may_have_spent(self, fingerprint: bytes) -> bool:
        return self.spending in (fingerprint, _UNKNOWN)


_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[Begun] = msgspec.msgpack.Decoder(Begun)


def put(db: sqlite3.Connection, sealer: Sealer, draft: Draft, id_: bytes, generation: int, intent: Begun) -> None:
    """Part of a change of the store."""
    sealed = sealer.seal(_TABLE, id_, generation, _pack.encode(intent))
    expect_written(db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?)", (id_, generation, sealed)))
    draft.note_intent(id_, sealed)


def attempts(
    db: sqlite3.Connection, sealer: Sealer, draft: Draft, id_: bytes, generation: int, fingerprint: bytes
) -> int:
    """How often it was begun to spend that very token, and never settled."""
    found = read(db, sealer, draft, id_)
    if found is None or found[0] != generation:
        return 0
    return found[1].attempts if found[1].may_have_spent(fingerprint) else 0


def read(db: sqlite3.Connection, sealer: Sealer, draft: Draft, id_: bytes) -> tuple[int, Begun] | None:
    """The open one, with its generation. One that was altered, put back or taken away may have been anything."""
    listed = draft.entry(id_)
    if not listed.intent:
        return None
    found = db.execute("SELECT generation, sealed FROM intents WHERE id = ?", (id_,)).fetchone()
    if found and listed.names_intent(found[1]):
        with suppress(BrokenSeal):
            return found[0], sealing.read(_unpack, sealer.unseal(_TABLE, id_, *found))
    log.error("intent-damaged", row=id_.hex()[:8])
    return listed.generation, Begun(_UNKNOWN, DOUBT, 0.0)


def forget(db: sqlite3.Connection, sealer: Sealer, draft: Draft, id_: bytes) -> None:
    """Part of a change of the store: one attempt less, or none at all."""
    found = read(db, sealer, draft, id_)
    if found and (known := found[1]).attempts > 1:
        put(db, sealer, draft, id_, found[0], Begun(known.spending, known.attempts - 1, known.begun_at))
        return
    remove(db, _TABLE, id_)
    draft.note_intent(id_, b"")
