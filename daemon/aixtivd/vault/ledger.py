"""What is done to an open store, in SQL: each method is one piece of work on the store's thread."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, StoreFailed
from aixtivd.host.faults import point
from aixtivd.vault import folder, intents, kept, notes, resealing
from aixtivd.vault.intents import Begun
from aixtivd.vault.manifest import NONE, Draft, Entry, Manifest
from aixtivd.vault.resealing import Seals
from aixtivd.vault.rows import Intent, Kept, Relabelled, Row
from aixtivd.vault.sealing import ID, BrokenSeal, Sealer
from aixtivd.vault.spill import Slot
from aixtivd.vault.store import Meta, expect_written, fold, named, put_meta, read_meta, remove, transaction


class Stale(AixtivError):
    """that record was changed meanwhile, so this change is dropped"""


class Ledger:
    def __init__(self, sealer: Sealer, slot: Slot, clock: Clock) -> None:
        self.slot = slot
        self.damaged = 0  # rows that cannot be trusted, or are missing; what there is stays where it is
        self._sealer = sealer
        self._manifest = Manifest(sealer)
        self._clock = clock
        self._unfolded = False  # what was replaced or deleted, a key maybe, is in the WAL yet
        self._swept: float | None = None  # steady; when the earlier generations were last looked through

    def start(self, db: sqlite3.Connection) -> None:
        """Folds what a crash left in the WAL, an old data key maybe, and absorbs what the slot holds.

        Where the disk does not let us, we serve what we can read.

        Raises BrokenSeal: there is no manifest, and nothing here can be trusted.
        """
        self._manifest.start(db)
        self._ready_slot(self._manifest.draft(db).entries())
        self._fold_old_keys(db)
        try:
            self.slot.open()
            self.absorb(db)
        except OSError as error:
            log.error("spill-slot-unusable", slot=str(self.slot.path), error=folder.reason(error))
        except sqlite3.Error as error:
            log.error("spilled-rows-wait", rows=len(self.slot.rows), error=named(error))

    def _ready_slot(self, entries: dict[bytes, Entry]) -> None:
        """A row in the slot is what it seems if its record is here, and older; or if no change came since.

        Every change absorbs the slot, so a row that is neither was signed out after it was absorbed.
        """
        changes = self._manifest.number
        self.slot.admits = lambda row, number: row.id in entries or number >= changes
        self.slot.number = changes + 1

    def stop(self, _: sqlite3.Connection) -> None:
        self.slot.close()

    @contextmanager
    def _change(self, db: sqlite3.Connection) -> Iterator[Draft]:
        """A transaction that first absorbs the slot, and at its end seals what there is now."""
        with transaction(db):
            draft = self._manifest.draft(db)
            self._absorb(db, draft)
            yield draft
            draft.save()
        self._manifest.adopt(draft)
        self.slot.number = self._manifest.number + 1
        if not self.slot.awaits(lambda id_: draft.entry(id_).generation):
            self._settle()

    def rows(self, db: sqlite3.Connection) -> list[Row]:
        """Every row that can be trusted, with the slot's newer ones in place of the store's."""
        draft = self._manifest.draft(db)
        missing = {id_ for id_, entry in draft.entries().items() if entry.generation != NONE}
        rows: dict[bytes, Row] = {}
        self.damaged = self.slot.replayed
        for id_, generation, sealed in db.execute("SELECT id, generation, sealed FROM records").fetchall():
            missing.discard(id_)
            if row := self._trusted(draft, id_, generation, sealed):
                rows[id_] = row
        for id_ in missing:
            self._damage(id_, "it is missing")
        return list((rows | self._spilled(draft)).values())

    def _trusted(self, draft: Draft, id_: object, generation: object, sealed: object) -> Row | None:
        """A record that unseals and is the one that the manifest names."""
        try:
            payload = self._sealer.unseal("records", id_, generation, sealed)
        except BrokenSeal:
            self._damage(id_, "it fails its seal")
            return None
        assert isinstance(id_, bytes)
        assert isinstance(generation, int)
        listed = draft.entry(id_).generation
        if generation != listed:
            self._damage(id_, "it is older than the last one" if listed != NONE else "it was deleted, or never here")
            return None
        return Row(id_, generation, payload)

    def _damage(self, id_: object, why: str) -> None:
        self.damaged += 1
        log.error("row-damaged", row=id_.hex()[:8] if isinstance(id_, bytes) else "", why=why)

    def _spilled(self, draft: Draft) -> dict[bytes, Row]:
        """The slot's rows, but for those that were absorbed and followed by others."""
        return {id_: row for id_, row in self.slot.rows.items() if row.generation >= draft.entry(id_).generation}

    def kept(self, db: sqlite3.Connection, id_: bytes) -> list[Kept]:
        """Earlier generations within their grace time, newest first."""
        return kept.read(db, self._sealer, id_)

    def begin(self, db: sqlite3.Connection, id_: bytes, generation: int, spending: Secret) -> Intent:
        point("before-intent")
        self._slot_ready()
        fingerprint = self._sealer.fingerprint(spending.reveal())
        with self._change(db) as draft:
            if (current := self._generation(db, draft, id_)) not in (None, generation):
                raise Stale(f"generation {generation} was to be refreshed, and the store has {current}")
            attempts = 1 + intents.attempts(db, self._sealer, draft, id_, generation, fingerprint)
            sealed = Begun(fingerprint, attempts, self._clock.wall())
            intents.put(db, self._sealer, draft, id_, generation, sealed)
        point("after-intent")
        return Intent(id_, generation, sealed.attempts, sealed.begun_at)

    def intents(self, db: sqlite3.Connection) -> list[Intent]:
        """The open ones: those whose pair is in neither store nor slot."""
        return list(self._open_intents(db, self._manifest.draft(db)))

    def _open_intents(self, db: sqlite3.Connection, draft: Draft) -> Iterator[Intent]:
        for id_ in draft.entries():
            if found := intents.read(db, self._sealer, draft, id_):
                generation, known = found
                current = self._newest(db, draft, id_)
                if current is None or current <= generation:
                    yield Intent(id_, generation, known.attempts, known.begun_at)

    def forget(self, db: sqlite3.Connection, id_: bytes) -> None:
        """The last attempt spent nothing. An earlier one whose answer was lost stays on record."""
        with self._change(db) as draft:
            intents.forget(db, self._sealer, draft, id_)

    def commit(self, db: sqlite3.Connection, row: Row, previous: Row | None) -> bool:
        if len(row.id) != ID or row.generation <= (previous.generation if previous else -1):
            raise ValueError("a row needs 16 bytes of id and a generation above the one before")
        try:
            self._expect(db, self._manifest.draft(db), row.id, previous)
            with self._change(db) as draft:
                self._succeed(db, draft, row, previous)
                self._sweep(db)
                point("before-commit")
        except sqlite3.Error as error:
            if not self._holds(db, row):
                self._spill(row, error)
                return False
        point("after-commit")
        return True

    def commit_all(self, db: sqlite3.Connection, changes: Sequence[tuple[Row, Row | None]]) -> None:
        with self._change(db) as draft:
            for row, previous in changes:
                self._expect(db, draft, row.id, previous)
                self._succeed(db, draft, row, previous)
            point("before-commit-all")
        point("after-commit-all")

    def relabel(self, db: sqlite3.Connection, relabelled: Relabelled) -> None:
        if relabelled.wipes:
            self._empty_slot(db)
        with self._change(db) as draft:
            for row, previous in relabelled.changes:
                self._expect(db, draft, row.id, previous)
                intent = intents.read(db, self._sealer, draft, row.id)
                self._put(db, draft, row)
                if intent and intent[0] == previous.generation:
                    intents.put(db, self._sealer, draft, row.id, row.generation, intent[1])
            kept.rewrite(db, self._sealer, relabelled.earlier)
            for name, payload in relabelled.notes:
                notes.write(db, self._sealer, draft, name, payload)
            point("before-relabelled")
        point("after-relabelled")
        if relabelled.wipes:
            self._fold_old_keys(db)

    def _succeed(self, db: sqlite3.Connection, draft: Draft, row: Row, previous: Row | None) -> None:
        if previous is not None:
            kept.put(db, self._sealer, previous, self._clock.wall())
        self._put(db, draft, row)

    def _expect(self, db: sqlite3.Connection, draft: Draft, id_: bytes, previous: Row | None) -> None:
        """Compare before swap: a late answer loses, whatever it carries.

        A damaged row is not compared with, nor one that is missing and should not be: what is in memory is better than
        that, and must not be lost over it.
        """
        current = self._newest(db, draft, id_)
        expected = previous.generation if previous else None
        damaged = current is None and (draft.entry(id_).generation != NONE or draft.doubtful(id_))
        if current != expected and not damaged:
            raise Stale(f"generation {expected} was to be replaced, and the store has {current}")

    def _spill(self, row: Row, why: sqlite3.Error) -> None:
        try:
            self.slot.write(row)
        except OSError as error:
            log.error("nothing-took-the-row", row=row.id.hex()[:8], store=named(why), slot=folder.reason(error))
            raise StoreFailed(
                f"neither the store nor the spill slot {self.slot.path} can be written: {folder.reason(error)}",
                hint=f"df -h {self.slot.path.parent}",
            ) from None
        log.error("spilled", row=row.id.hex()[:8], slot=str(self.slot.path), store=named(why))
        point("spill-written")

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Drops what was kept for long enough. Every row is looked at, so not at every commit."""
        now = self._clock.steady()
        if self._swept is None or now - self._swept >= kept.SWEEP:
            kept.sweep(db, self._clock.wall())
            self._swept = now

    def _put(self, db: sqlite3.Connection, draft: Draft, row: Row) -> None:
        """The row, and its intent closed."""
        sealed = self._sealer.seal("records", row.id, row.generation, row.payload)
        written = db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (row.id, row.generation, sealed))
        expect_written(written)
        before = draft.entry(row.id)
        if row.generation > before.generation:
            remove(db, "intents", row.id)
            before = Entry()
        draft.put(row.id, Entry(row.generation, before.intent))

    def probe(self, db: sqlite3.Connection) -> None:
        """Writes as much as a grant takes, for real."""
        self._slot_ready()
        with self._change(db):
            expect_written(db.execute("INSERT OR REPLACE INTO probe VALUES (1, randomblob(8192))"))

    def delete(self, db: sqlite3.Connection, id_: bytes) -> None:
        """First empties the slot: a copy left in it would outlive the row."""
        self._empty_slot(db)
        with self._change(db) as draft:
            for table in ("records", "kept", "intents"):
                remove(db, table, id_)
            draft.put(id_, Entry())
        self._fold_old_keys(db)

    def _empty_slot(self, db: sqlite3.Connection) -> None:
        if self.slot.path.exists():
            self._slot_ready()
        self.absorb(db)
        self._settle()
        if self.slot.used:
            raise StoreFailed(f"the spill slot {self.slot.path} cannot be emptied", hint="dmesg | tail")

    def rotate(self, db: sqlite3.Connection, sealer: Sealer, meta: Meta) -> None:
        """Every seal anew under `sealer`, and `meta`, which opens them, in the place of what opened the old ones.

        One transaction, and what is asked for afterwards is done with the new key, whoever asked for it before: all of
        it runs on the store's thread, one after the other.
        """
        self._empty_slot(db)
        fold(db)  # so that a disk with little room has more of it, and least is written twice
        point("rotate-begun")
        draft = self._manifest.draft(db)
        try:
            with transaction(db):
                resealing.reseal(db, self._sealer, sealer, draft)
                put_meta(db, meta)
                point("rotate-sealed")
        except sqlite3.Error:
            if read_meta(db) != meta:  # else that COMMIT took place after all
                self._write_over(db)
                raise
        point("rotate-committed")
        self._sealer = sealer
        self._manifest.follow(sealer, draft)
        self.slot.follow(sealer, self._manifest.number + 1)
        self._fold_old_keys(db)
        point("rotate-folded")

    def _write_over(self, db: sqlite3.Connection) -> None:
        """What a COMMIT that failed has left in the WAL: after a crash it could count, with its new key.

        Where this fails, too, the next change that succeeds does so, and no token is spent before one.
        """
        with suppress(sqlite3.Error), self._change(db):
            pass

    def rewrap(self, db: sqlite3.Connection, meta: Meta) -> None:
        """The same data key under another key."""
        with transaction(db):
            put_meta(db, meta)
        self._fold_old_keys(db)
        point("rotate-folded")

    def _fold_old_keys(self, db: sqlite3.Connection) -> None:
        try:
            fold(db)
        except sqlite3.Error as error:
            log.warning("wal-not-folded", error=named(error))
            self._unfolded = True
        else:
            self._unfolded = False

    def seals(self, db: sqlite3.Connection) -> Seals:
        """Looks at every one."""
        found = resealing.counted(db, self._sealer, self._manifest.draft(db))
        return msgspec.structs.replace(found, unfolded=self._unfolded)

    def note(self, db: sqlite3.Connection, name: str) -> bytes | None:
        return notes.read(db, self._sealer, self._manifest.draft(db), name)

    def put_note(self, db: sqlite3.Connection, name: str, payload: bytes) -> None:
        with self._change(db) as draft:
            notes.write(db, self._sealer, draft, name, payload)

    def derive(self, purpose: str) -> bytes:
        return self._sealer.derive(purpose)

    @property
    def lasting(self) -> bytes:
        return self._sealer.lasting

    def absorb(self, db: sqlite3.Connection) -> int:
        """Moves the slot's rows into the store. The number of them."""
        if not self.slot.used:
            return 0
        rows = len(self.slot.rows)
        with self._change(db):
            pass
        return rows

    def _absorb(self, db: sqlite3.Connection, draft: Draft) -> None:
        """Part of every change, so that a spilled row waits no longer than it must. Doing it twice changes nothing."""
        for row in self._spilled(draft).values():
            if (stored := self._stored(db, draft, row.id)) and stored.generation >= row.generation:
                continue
            if stored:
                kept.put(db, self._sealer, stored, self._clock.wall())
            self._put(db, draft, row)

    def _stored(self, db: sqlite3.Connection, draft: Draft, id_: bytes) -> Row | None:
        """The store's own, if it can be trusted: a generation that is not under a seal proves nothing."""
        found = db.execute("SELECT generation, sealed FROM records WHERE id = ?", (id_,)).fetchone()
        if found is None or found[0] != draft.entry(id_).generation:
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

    def _newest(self, db: sqlite3.Connection, draft: Draft, id_: bytes) -> int | None:
        """Of store and slot."""
        spilled, stored = self._spilled(draft).get(id_), self._generation(db, draft, id_)
        if spilled is None:
            return stored
        return spilled.generation if stored is None else max(spilled.generation, stored)

    def _generation(self, db: sqlite3.Connection, draft: Draft, id_: bytes) -> int | None:
        return stored.generation if (stored := self._stored(db, draft, id_)) else None

    def _holds(self, db: sqlite3.Connection, row: Row) -> bool:
        """Whether a COMMIT that reported failure took place after all."""
        try:
            return self._generation(db, self._manifest.draft(db), row.id) == row.generation
        except sqlite3.Error:
            return False
