"""The manifest: which records there are and of which generation, under seals of their own, so that none of them can be
rolled back, brought back or taken away by itself.

A root names, for each of 256 parts, the transaction that sealed it last; a part names its records. A change seals one
part (a 256th of the records) and the root (half a kilobyte to one and a half) anew. An older part does not fit the
root, and an older root fits only the store that it was part of, whole.
"""

import sqlite3
from typing import Final

import msgspec
from msgspec import Struct

from aixtivd import log
from aixtivd.vault import sealing
from aixtivd.vault.sealing import BrokenSeal, Sealer
from aixtivd.vault.store import expect_written

PARTS: Final = 256  # ids are random, so their first bytes spread them evenly
_ROOT: Final = PARTS  # its place beside the parts
_TABLE: Final = "manifest"
_TAG: Final = 16  # bytes at the end of a seal (GCM's tag): with a random nonce, no two seals share them

NONE: Final = -1


class Entry(Struct, frozen=True, array_like=True):
    """What is known of an id. A list that was sealed before there were notes has two members."""

    generation: int = NONE  # of its record; NONE: there is none
    intent: bytes = b""  # the last bytes of its open intent's seal; empty: none is open
    note: int = NONE  # generation of the note with that id; an id is a record's or a note's

    def names_intent(self, sealed: object) -> bool:
        return isinstance(sealed, bytes) and bool(self.intent) and sealed[-_TAG:] == self.intent


class _Root(Struct, frozen=True):
    number: int  # of the transaction that sealed it
    parts: tuple[int, ...]  # for each part, the number of the transaction that sealed it; 0: it is empty


_Part = dict[bytes, Entry]
_pack = msgspec.msgpack.Encoder()
_unpack_root: msgspec.msgpack.Decoder[tuple[int, ...]] = msgspec.msgpack.Decoder(tuple[int, ...])
_unpack_part: msgspec.msgpack.Decoder[_Part] = msgspec.msgpack.Decoder(_Part)


class Manifest:
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._known = _Root(0, ())

    @property
    def number(self) -> int:
        """How many changes this store has seen."""
        return self._known.number

    def start(self, db: sqlite3.Connection) -> None:
        """Raises BrokenSeal: then nothing in this store can be trusted."""
        self._known = self._read(db)

    def draft(self, db: sqlite3.Connection) -> "Draft":
        """What the manifest says now, to be changed and saved within a transaction."""
        try:
            root = self._read(db)
        except BrokenSeal:  # under a running daemon, who knows better
            log.error("manifest-damaged", part="root")
            root = self._known
        return Draft(db, self._sealer, root)

    def adopt(self, saved: "Draft") -> None:
        """After the transaction."""
        self._known = saved.root

    def follow(self, sealer: Sealer, saved: "Draft") -> None:
        """After one that sealed everything anew."""
        self._sealer = sealer
        self.adopt(saved)

    def _read(self, db: sqlite3.Connection) -> _Root:
        number, plain = _unsealed(db, self._sealer, _ROOT)
        parts = sealing.read(_unpack_root, plain)
        if len(parts) != PARTS:
            raise BrokenSeal
        return _Root(number, parts)


def begin(db: sqlite3.Connection, sealer: Sealer) -> None:
    """A new store's: it is never without one, so one that is missing was taken away."""
    _put(db, sealer, _ROOT, 0, _pack.encode((0,) * PARTS))


class Draft:
    """Reads the parts that it is asked about, and saves those that it was told to change."""

    def __init__(self, db: sqlite3.Connection, sealer: Sealer, root: _Root) -> None:
        self.root = root
        self._db = db
        self._sealer = sealer
        self._parts: dict[int, _Part] = {}
        self._changed: set[int] = set()
        self._doubtful: set[int] = set()

    def entry(self, id_: object) -> Entry:
        if not isinstance(id_, bytes) or not id_:
            return Entry()
        return self._part(id_[0]).get(id_, Entry())

    def doubtful(self, id_: bytes) -> bool:
        """Whether the part that would name this id is damaged itself."""
        self._part(id_[0])
        return id_[0] in self._doubtful

    def put(self, id_: bytes, entry: Entry) -> None:
        part = self._part(id_[0])
        if entry == Entry():
            part.pop(id_, None)
        else:
            part[id_] = entry
        self._changed.add(id_[0])

    def note_intent(self, id_: bytes, sealed: bytes) -> None:
        """`sealed`: the intent as it stands on disk; empty: none is open any more."""
        self.put(id_, Entry(self.entry(id_).generation, sealed[-_TAG:]))

    def parts(self) -> tuple[int, int]:
        """How many there are, and how many of them fail their seal."""
        for number in range(PARTS):
            self._part(number)
        return sum(map(bool, self.root.parts)), len(self._doubtful)

    def reseal(self, sealer: Sealer) -> None:
        """What is saved is sealed under that key, every part of it; one that fails its seal stays as it is."""
        self.parts()
        self._changed.update(set(self._parts) - self._doubtful)
        self._sealer = sealer

    def entries(self) -> _Part:
        """All of them."""
        there = [number for number, wanted in enumerate(self.root.parts) if wanted or number in self._parts]
        return {id_: entry for number in there for id_, entry in self._part(number).items()}

    def _part(self, number: int) -> _Part:
        if number not in self._parts:
            self._parts[number] = self._read(number)
        return self._parts[number]

    def _read(self, number: int) -> _Part:
        """A part that fails its seal, or is an older one, names nothing."""
        wanted = self.root.parts[number]
        if not wanted:
            return {}
        try:
            return sealing.read(_unpack_part, _unsealed(self._db, self._sealer, number, wanted)[1])
        except BrokenSeal:
            log.error("manifest-damaged", part=number)
            self._doubtful.add(number)
            return {}

    def save(self) -> None:
        """Within the transaction of what it describes."""
        now = self.root.number + 1
        parts = list(self.root.parts)
        for number in self._changed:
            parts[number] = now if self._parts[number] else 0
            if parts[number]:
                _put(self._db, self._sealer, number, now, _pack.encode(self._parts[number]))
            else:
                self._db.execute("DELETE FROM manifest WHERE part = ?", (number,))
        _put(self._db, self._sealer, _ROOT, now, _pack.encode(parts))
        self.root = _Root(now, tuple(parts))


def _put(db: sqlite3.Connection, sealer: Sealer, part: int, number: int, plain: bytes) -> None:
    sealed = sealer.seal(_TABLE, _place(part), number, plain)
    expect_written(db.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?)", (part, number, sealed)))


def _unsealed(db: sqlite3.Connection, sealer: Sealer, part: int, wanted: int | None = None) -> tuple[int, bytes]:
    """The number and the content. Raises BrokenSeal, also where there is none, or not the one `wanted`."""
    found = db.execute("SELECT number, sealed FROM manifest WHERE part = ?", (part,)).fetchone()
    if found is None or wanted not in (None, found[0]):
        raise BrokenSeal
    return found[0], sealer.unseal(_TABLE, _place(part), *found)


def _place(part: int) -> bytes:
    return part.to_bytes(2, "big")
