"""Every seal of a store: looked at, or made anew under another key within one transaction."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from aixtivd.host.faults import point
from aixtivd.vault.manifest import NONE, Draft, Manifest
from aixtivd.vault.sealing import BrokenSeal, Sealer
from aixtivd.vault.store import Unwritten, expect_written

_TABLES: Final = ("records", "kept", "intents", "notes")
_Place = tuple[object, object]  # id and generation: whatever a vandal wrote there


class Seals(Struct, frozen=True):
    held: int
    broken: int  # fail, are not the ones that were written last, or are missing
    unfolded: bool = False  # the old key and what it sealed are in the WAL yet: it could not be emptied


def counted(db: sqlite3.Connection, sealer: Sealer, draft: Draft) -> Seals:
    """Reads everything, and changes nothing."""
    parts, broken = draft.parts()
    held = parts - broken
    missing: set[tuple[str, object]] = set()
    for id_, entry in draft.entries().items():
        listed = {"records": entry.generation != NONE, "notes": entry.note != NONE, "intents": bool(entry.intent)}
        missing.update((table, id_) for table in listed if listed[table])
    for table in _TABLES:
        for place, generation in _places(db, table):
            sealed = _sealed(db, table, place, generation)
            if _holds(sealer, table, place, generation, sealed) and _fits(draft, table, place, generation, sealed):
                held += 1
            else:
                broken += 1
            missing.discard((table, place))
    return Seals(held, broken + len(missing))


def reseal(db: sqlite3.Connection, old: Sealer, new: Sealer, draft: Draft) -> None:
    """Part of a transaction, the manifest with it. Raises Unwritten where afterwards less holds than before.

    What fails its seal stays as it is: no key that we have opens it. What unseals and is not the one that was written
    last is sealed anew, too, and stays what it was: not trusted.
    """
    before = counted(db, old, draft)
    draft.reseal(new)
    for table in _TABLES:
        for id_, generation in _places(db, table):
            sealed = _sealed(db, table, id_, generation)
            try:
                plain = old.unseal(table, id_, generation, sealed)
            except BrokenSeal:
                continue
            assert isinstance(id_, bytes)
            assert isinstance(generation, int)
            again = new.seal(table, id_, generation, plain)
            _put(db, table, id_, generation, again)
            if table == "intents" and draft.entry(id_).names_intent(sealed):
                draft.note_intent(id_, again)
            point("rotate-row")
    draft.save()
    after = _counted_anew(db, new)
    if after.held < before.held or after.broken > before.broken:
        raise Unwritten


def _counted_anew(db: sqlite3.Connection, sealer: Sealer) -> Seals:
    """From what stands in the store now, and nothing that is in memory."""
    manifest = Manifest(sealer)
    try:
        manifest.start(db)
    except BrokenSeal:
        raise Unwritten from None
    return counted(db, sealer, manifest.draft(db))


def _places(db: sqlite3.Connection, table: str) -> Iterator[_Place]:
    """First all of them, and each content by itself: that is one row in memory, and none is written while read."""
    yield from db.execute(f"SELECT id, generation FROM {table}").fetchall()  # noqa: S608  # a name of ours


def _sealed(db: sqlite3.Connection, table: str, id_: object, generation: object) -> object:
    where = f"SELECT sealed FROM {table} WHERE id IS ? AND generation IS ?"  # noqa: S608  # a name of ours
    found = db.execute(where, (id_, generation)).fetchone()
    return found[0] if found else None


def _put(db: sqlite3.Connection, table: str, id_: bytes, generation: int, sealed: bytes) -> None:
    statement = f"UPDATE {table} SET sealed = ? WHERE id = ? AND generation = ?"  # noqa: S608  # a name of ours
    expect_written(db.execute(statement, (sealed, id_, generation)))


def _holds(sealer: Sealer, table: str, id_: object, generation: object, sealed: object) -> bool:
    try:
        sealer.unseal(table, id_, generation, sealed)
    except BrokenSeal:
        return False
    return True


def _fits(draft: Draft, table: str, id_: object, generation: object, sealed: object) -> bool:
    """Whether it is the one that was written last, as the manifest says."""
    entry = draft.entry(id_)
    match table:
        case "records":
            return generation == entry.generation
        case "notes":
            return generation == entry.note
        case "intents":
            return entry.names_intent(sealed)
        case _:  # an earlier generation: as many as there are
            return True
