"""What is done to an open store, in SQL: each method is one piece of work on the store's thread."""

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, StoreFailed
from aixtivd.host.faults import point
from aixtivd.vault import folder
from aixtivd.vault.rows import Intent, Row
from aixtivd.vault.sealing import ID, BrokenSeal, Sealer
from aixtivd.vault.spill import Slot
from aixtivd.vault.store import transaction

GRACE: Final = 24 * 3600.0
"""Seconds for which the row before the last is kept. Servers that allow a spent refresh token again do so for a minute
or so; a day leaves a person time to act."""

DOUBT: Final = 2
"""Attempts that an unreadable intent counts as: it may have been anything, so aixtiv does not try by itself."""


class Stale(AixtivError):
    """that record was changed meanwhile, so this change is dropped"""


class _Sealed(Struct, frozen=True, array_like=True):
    """What an intent seals. `spending` is a fingerprint, not the token."""

    spending: bytes
    attempts: int
    begun_at: float


_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[_Sealed] = msgspec.msgpack.Decoder(_Sealed)


class Ledger:
    def __init__(self, sealer: Sealer, slot: Slot, clock: Clock) -> None:
        self.slot = slot
        self.damaged = 0  # rows that fail their seal; they stay where they are
        self._sealer = sealer
        self._clock = clock

    def start(self, db: sqlite3.Connection) -> None:
        """Opens the slot and absorbs what it holds. Where the disk does not let us, we serve what we can read."""
        try:
            self.slot.open()
            self.absorb(db)
        except OSError as error:
            log.error("spill-slot-unusable", slot=str(self.slot.path), error=folder.reason(error))
        except sqlite3.Error as error:
            log.error("spilled-rows-wait", rows=len(self.slot.rows), error=_named(error))

    def stop(self, _: sqlite3.Connection) -> None:
        self.slot.close()

    def rows(self, db: sqlite3.Connection) -> list[Row]:
        """Every row that unseals, with the slot's newer ones in place of the store's."""
        rows: dict[bytes, Row] = {}
        self.damaged = 0
        for id_, generation, sealed in db.execute("SELECT id, generation, sealed FROM records"):
            try:
                rows[id_] = Row(id_, generation, self._sealer.unseal("records", id_, generation, sealed))
            except BrokenSeal:
                self.damaged += 1
                log.error("row-damaged", row=id_.hex()[:8] if isinstance(id_, bytes) else "")
        for id_, row in self.slot.rows.items():
            if id_ not in rows or row.generation > rows[id_].generation:
                rows[id_] = row
        return list(rows.values())

    def kept(self, db: sqlite3.Connection, id_: bytes) -> list[Row]:
        """Earlier generations within their grace time, newest first."""
        found = db.execute("SELECT generation, sealed FROM kept WHERE id = ? ORDER BY generation DESC", (id_,))
        rows = []
        for generation, sealed in found:
            try:
                rows.append(Row(id_, generation, self._sealer.unseal("kept", id_, generation, sealed)))
            except BrokenSeal:
                log.error("kept-row-damaged", row=id_.hex()[:8])
        return rows

    def begin(self, db: sqlite3.Connection, id_: bytes, generation: int, spending: Secret) -> Intent:
        point("before-intent")
        self._slot_ready()
        fingerprint = self._sealer.fingerprint(spending.reveal())
        with transaction(db):
            self._absorb(db)
            if (current := self._generation(db, id_)) not in (None, generation):
                raise Stale(f"generation {generation} was to be refreshed, and the store has {current}")
            attempts = 1 + self._attempts(db, id_, generation, fingerprint)
            sealed = _Sealed(fingerprint, attempts, self._clock.wall())
            self._put_intent(db, id_, generation, sealed)
        self._settle()
        point("after-intent")
        return Intent(id_, generation, sealed.attempts, sealed.begun_at)

    def _attempts(self, db: sqlite3.Connection, id_: bytes, generation: int, fingerprint: bytes) -> int:
        found = db.execute("SELECT generation, sealed FROM intents WHERE id = ?", (id_,)).fetchone()
        if found is None or found[0] != generation:
            return 0
        known = self._unsealed_intent(id_, *found)
        if known is None:
            return DOUBT
        return known.attempts if known.spending == fingerprint else 0

    def _put_intent(self, db: sqlite3.Connection, id_: bytes, generation: int, intent: _Sealed) -> None:
        sealed = self._sealer.seal("intents", id_, generation, _pack.encode(intent))
        db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?)", (id_, generation, sealed))

    def _unsealed_intent(self, id_: object, generation: object, sealed: object) -> _Sealed | None:
        try:
            return _unpack.decode(self._sealer.unseal("intents", id_, generation, sealed))
        except (BrokenSeal, msgspec.DecodeError):
            log.error("intent-damaged", row=id_.hex()[:8] if isinstance(id_, bytes) else "")
            return None

    def intents(self, db: sqlite3.Connection) -> list[Intent]:
        """The open ones: those whose pair is in neither store nor slot."""
        return list(self._open_intents(db))

    def _open_intents(self, db: sqlite3.Connection) -> Iterator[Intent]:
        for id_, generation, sealed in db.execute("SELECT id, generation, sealed FROM intents").fetchall():
            if not (isinstance(id_, bytes) and isinstance(generation, int)):
                continue  # a vandal's
            known = self._unsealed_intent(id_, generation, sealed) or _Sealed(b"", DOUBT, 0.0)
            current = self._newest(db, id_)
            if current is None or current <= generation:
                yield Intent(id_, generation, known.attempts, known.begun_at)

    def forget(self, db: sqlite3.Connection, id_: bytes) -> None:
        """The last attempt spent nothing. An earlier one whose answer was lost stays on record."""
        with transaction(db):
            self._absorb(db)
            found = db.execute("SELECT generation, sealed FROM intents WHERE id = ?", (id_,)).fetchone()
            known = self._unsealed_intent(id_, *found) if found else None
            if known and known.attempts > 1:
                self._put_intent(db, id_, found[0], _Sealed(known.spending, known.attempts - 1, known.begun_at))
            else:
                db.execute("DELETE FROM intents WHERE id = ?", (id_,))
        self._settle()

    def commit(self, db: sqlite3.Connection, row: Row, previous: Row | None) -> bool:
        if len(row.id) != ID or row.generation <= (previous.generation if previous else -1):
            raise ValueError("a row needs 16 bytes of id and a generation above the one before")
        try:
            self._expect(db, row.id, previous)
            with transaction(db):
                self._absorb(db)
                if previous is not None:
                    self._keep(db, previous)
                self._put(db, row)
                db.execute("DELETE FROM kept WHERE until < ?", (self._clock.wall(),))
                point("before-commit")
        except sqlite3.Error as error:
            if not self._holds(db, row):
                self._spill(row, error)
                return False
        self._settle()
        point("after-commit")
        return True

    def _expect(self, db: sqlite3.Connection, id_: bytes, previous: Row | None) -> None:
        """Compare before swap: a late answer loses, whatever it carries.

        A damaged row is not compared with: what is in memory is better than that, and must not be lost over it.
        """
        current = self._newest(db, id_)
        expected = previous.generation if previous else None
        if current != expected and not (current is None and _there(db, id_)):
            raise Stale(f"generation {expected} was to be replaced, and the store has {current}")

    def _spill(self, row: Row, why: sqlite3.Error) -> None:
        try:
            self.slot.write(row)
        except OSError as error:
            log.error("nothing-took-the-row", row=row.id.hex()[:8], store=_named(why), slot=folder.reason(error))
            raise StoreFailed(
                f"neither the store nor the spill slot {self.slot.path} can be written: {folder.reason(error)}",
                hint=f"df -h {self.slot.path.parent}",
            ) from None
        log.error("spilled", row=row.id.hex()[:8], slot=str(self.slot.path), store=_named(why))
        point("spill-written")

    def _keep(self, db: sqlite3.Connection, row: Row) -> None:
        sealed = self._sealer.seal("kept", row.id, row.generation, row.payload)
        until = self._clock.wall() + GRACE
        db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", (row.id, row.generation, sealed, until))

    def _put(self, db: sqlite3.Connection, row: Row) -> None:
        """The row, and its intent closed."""
        sealed = self._sealer.seal("records", row.id, row.generation, row.payload)
        db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (row.id, row.generation, sealed))
        db.execute("DELETE FROM intents WHERE id = ? AND generation < ?", (row.id, row.generation))

    def probe(self, db: sqlite3.Connection) -> None:
        """Writes as much as a grant takes, for real."""
        self._slot_ready()
        with transaction(db):
            self._absorb(db)
            db.execute("INSERT OR REPLACE INTO probe VALUES (1, randomblob(8192))")
        self._settle()

    def delete(self, db: sqlite3.Connection, id_: bytes) -> None:
        """First empties the slot: a copy left in it would bring the row back at the next start."""
        self.absorb(db)
        if self.slot.used:
            raise StoreFailed(f"the spill slot {self.slot.path} cannot be emptied", hint="dmesg | tail")
        with transaction(db):
            for table in ("records", "kept", "intents"):
                db.execute(f"DELETE FROM {table} WHERE id = ?", (id_,))  # noqa: S608  # names from the line above
        try:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # the WAL holds what it said before
        except sqlite3.Error as error:
            log.warning("deleted-rows-still-in-wal", error=_named(error))

    def absorb(self, db: sqlite3.Connection) -> int:
        """Moves the slot's rows into the store. The number of those the store did not have yet."""
        if not self.slot.used:
            return 0
        with transaction(db):
            count = self._absorb(db)
        self._settle()
        return count

    def _absorb(self, db: sqlite3.Connection) -> int:
        """Part of every write, so that a spilled row waits no longer than it must. Doing it twice changes nothing."""
        count = 0
        for row in self.slot.rows.values():
            stored = self._stored(db, row.id)
            if stored and stored.generation >= row.generation:
                continue
            if stored:
                self._keep(db, stored)
            self._put(db, row)
            count += 1
        return count

    def _stored(self, db: sqlite3.Connection, id_: bytes) -> Row | None:
        """The store's own, if it unseals: a generation that is not under a seal proves nothing."""
        found = db.execute("SELECT generation, sealed FROM records WHERE id = ?", (id_,)).fetchone()
        if found is None:
            return None
        generation, sealed = found
        try:
            return Row(id_, generation, self._sealer.unseal("records", id_, generation, sealed))
        except BrokenSeal:
            return None

    def _settle(self) -> None:
        """The slot's rows are committed. One that cannot be emptied now is harmless until the next try."""
        if not self.slot.used:
            return
        absorbed = len(self.slot.rows)
        try:
            self.slot.clear()
        except OSError as error:
            log.error("spill-slot-not-emptied", slot=str(self.slot.path), error=folder.reason(error))
        else:
            log.info("absorbed", rows=absorbed)

    def _slot_ready(self) -> None:
        """Without the slot nothing is spent: on a disk that fills up, the new pair would have nowhere to go."""
        try:
            self.slot.open()
        except OSError as error:
            raise StoreFailed(
                f"the spill slot {self.slot.path} cannot be reserved: {folder.reason(error)}",
                hint=f"df -h {self.slot.path.parent}",
            ) from None

    def _newest(self, db: sqlite3.Connection, id_: bytes) -> int | None:
        """Of store and slot."""
        spilled, stored = self.slot.rows.get(id_), self._generation(db, id_)
        if spilled is None:
            return stored
        return spilled.generation if stored is None else max(spilled.generation, stored)

    def _generation(self, db: sqlite3.Connection, id_: bytes) -> int | None:
        stored = self._stored(db, id_)
        return stored.generation if stored else None

    def _holds(self, db: sqlite3.Connection, row: Row) -> bool:
        """Whether a COMMIT that reported failure took place after all."""
        try:
            return self._generation(db, row.id) == row.generation
        except sqlite3.Error:
            return False


def _there(db: sqlite3.Connection, id_: bytes) -> bool:
    return db.execute("SELECT 1 FROM records WHERE id = ?", (id_,)).fetchone() is not None


def _named(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)
