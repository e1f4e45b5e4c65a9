"""The store's rows, altered by somebody who can write the file; and what a seal holds, as if it held anything."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd.errors import AixtivError
from aixtivd.vault import manifest
from aixtivd.vault.ledger import Ledger
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, Sealer
from aixtivd.vault.spill import SIZE, Slot
from aixtivd.vault.store import MIGRATIONS, Meta, migrate
from fuzz.memory import place
from fuzz.target import Target
from peers.clock import FakeClock

_TABLES: Final = {
    "records": ("id", "generation", "sealed"),
    "kept": ("id", "generation", "sealed", "until"),
    "intents": ("id", "generation", "sealed"),
    "manifest": ("part", "number", "sealed"),
    "notes": ("id", "generation", "sealed"),
}
_IDS: Final = tuple(bytes([number]) * 16 for number in (0, 7, 255))
_PAYLOAD: Final = b"a grant"
_KEY: Final = bytes(range(32))


class SeeThrough(Sealer):
    """Seals nothing and believes everything: what stands under a seal is the input's own."""

    def seal(self, table: str, id_: bytes, generation: int, payload: bytes) -> bytes:
        return payload

    def unseal(self, table: str, id_: object, generation: object, sealed: object) -> bytes:
        if not (isinstance(id_, bytes) and isinstance(generation, int) and isinstance(sealed, bytes)):
            raise BrokenSeal
        return sealed


def rows(data: bytes) -> None:
    """Nothing is served that was not written, whatever was done to the tables."""
    for row in _used(data, Sealer(_KEY)):
        assert row.payload == _PAYLOAD
        assert row.id in _IDS
        assert row.generation in {1, 2}


def payloads(data: bytes) -> None:
    """What this aixtiv cannot read under a good seal, of a newer one say, is as good as a broken one."""
    _used(data, SeeThrough(_KEY))


def _used(data: bytes, sealer: Sealer) -> list[Row]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.deserialize(_image(sealed=not isinstance(sealer, SeeThrough)))
        _alter(db, data)
        ledger = Ledger(sealer, Slot(_slot(), sealer), FakeClock())
        with suppress(BrokenSeal, AixtivError, sqlite3.Error):
            ledger.start(db)
            try:
                return _used_wholly(ledger, db)
            finally:
                ledger.stop(db)
    return []


def _used_wholly(ledger: Ledger, db: sqlite3.Connection) -> list[Row]:
    found = [one.row for id_ in _IDS for one in ledger.kept(db, id_)] + ledger.rows(db)
    steps: Iterable[Callable[[], object]] = (
        lambda: ledger.note(db, "tickets"),
        lambda: ledger.intents(db),
        lambda: ledger.begin(db, _IDS[0], 2, Secret("spent")),
    )
    for step in steps:
        with suppress(AixtivError, sqlite3.Error):
            step()
    return found


def _alter(db: sqlite3.Connection, data: bytes) -> None:
    """A MessagePack list of `[table, row, column, value]`: set; without the value, removed; with a list, put there."""
    try:
        edits = msgspec.msgpack.decode(data, type=list[list[Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for edit in edits[:8]:
        with suppress(sqlite3.Error, OverflowError, TypeError, ValueError, IndexError):
            _alter_one(db, *edit)


def _alter_one(db: sqlite3.Connection, table: int, row: int, column: int = 0, *values: Any) -> None:
    name = list(_TABLES)[table]
    columns = _TABLES[name]
    key = " AND ".join(f"{one} IS ?" for one in columns[: 2 if name == "kept" else 1])
    there = db.execute(f"SELECT * FROM {name}").fetchall()[row][: 2 if name == "kept" else 1]
    if not values:
        db.execute(f"DELETE FROM {name} WHERE {key}", there)
    elif isinstance(values[0], list):
        places = ", ".join("?" for _ in columns)
        db.execute(f"INSERT OR REPLACE INTO {name} VALUES ({places})", values[0])
    else:
        db.execute(f"UPDATE {name} SET {columns[column]} = ? WHERE {key}", (values[0], *there))


@cache
def _image(*, sealed: bool) -> bytes:
    """A store with three records, each refreshed before, an open refresh, and a note."""
    sealer = Sealer(_KEY) if sealed else SeeThrough(_KEY)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS)
        meta = Meta(bytes(16), '{"source":"file"}', "a test", b"wrapped")
        db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?)", (meta.store, meta.source, meta.reason, meta.wrapped))
        manifest.begin(db, sealer)
        ledger = Ledger(sealer, Slot(_slot(), sealer), FakeClock())
        ledger.start(db)
        for id_ in _IDS:
            ledger.commit(db, first := Row(id_, 1, _PAYLOAD), None)
            ledger.commit(db, Row(id_, 2, _PAYLOAD), first)
        ledger.begin(db, _IDS[1], 2, Secret("spent"))
        ledger.put_note(db, "tickets", b"tickets")
        ledger.stop(db)
        return db.serialize()


@cache
def _slot() -> Path:
    return place() / "spill"


def slot(data: bytes) -> None:
    """The spill slot after a crash, or after somebody wrote into it: what is read is what was written, or nothing."""
    _write_slot(data)
    found = Slot(_slot(), Sealer(_KEY))
    found.open()
    assert set(found.rows.values()) <= {Row(id_, 3, _PAYLOAD) for id_ in _IDS}
    found.close()
    seen = Slot(_slot(), SeeThrough(_KEY))
    seen.open()
    seen.close()


def _write_slot(data: bytes) -> None:
    path = _slot()
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file:
        file.write(data + bytes(4))


@cache
def _slots() -> list[bytes]:
    _write_slot(b"")
    found = Slot(_slot(), Sealer(_KEY))
    found.open()
    for id_ in _IDS:
        found.write(Row(id_, 3, _PAYLOAD))
    found.close()
    whole = _slot().read_bytes().rstrip(b"\0")
    _slot().unlink()
    return [whole, whole[: len(whole) // 3]]


def _alterations() -> list[bytes]:
    read = sqlite3.connect(":memory:", isolation_level=None)
    with closing(read) as db:
        db.deserialize(_image(sealed=False))
        found = [[table, row, 2, value[2]] for table, name in enumerate(_TABLES) for row, value in _numbered(db, name)]
        others = [[table, row, 1, 1] for table, name in enumerate(_TABLES) for row, _ in _numbered(db, name)]
        swapped = [[0, 0, 0, [*value]] for _, value in _numbered(db, "kept")]
    edits = [*found, *others, *swapped, [0, 1], [3, 0], [2, 0], [4, 0, 1, 9]]
    return [msgspec.msgpack.encode([edit]) for edit in edits] + [msgspec.msgpack.encode(edits[:4])]


def _numbered(db: sqlite3.Connection, name: str) -> list[tuple[int, tuple[Any, ...]]]:
    return list(enumerate(db.execute(f"SELECT * FROM {name}").fetchall()))


TARGETS: Final = (
    Target("store-rows", rows, _alterations, form="msgpack"),
    Target("store-payloads", payloads, _alterations, form="msgpack"),
    Target("spill-slot", slot, _slots, words=(b"\0\0\0\x50", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\x10")),
)
