"""The audit log on disk, and its end as the vault has sealed it: looked at, gone on with, turned to the next file."""

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from aixtiv_protocol.replies import AuditRecord, AuditVerdict
from aixtivd import log
from aixtivd.access import chain, proof
from aixtivd.access.caller import Caller
from aixtivd.access.chain import Found, Head, Tip
from aixtivd.access.logfile import LogFile
from aixtivd.access.note import Note, Tally, recorded
from aixtivd.access.shelf import Shelf
from aixtivd.clock import Clock
from aixtivd.config import AuditConfig
from aixtivd.errors import Locked, StoreFailed
from aixtivd.host.faults import point
from aixtivd.vault import folder as folders
from aixtivd.vault.notes import DamagedNote, decoded
from aixtivd.vault.vault import Vault

UNSEALED: Final = 10_000
"""Records beyond the sealed end at most: while the vault is locked, or its store cannot be written, the rest waits in
memory. A start takes in twice as many (some under the key, some from behind a lock); more than that are not ours."""

_FAR: Final = 64 * 1024 * 1024  # bytes in which they are looked for: more than so many can have
_MIB: Final = 1024 * 1024
_NOTE: Final = "audit"  # the vault's
_PURPOSE: Final = "audit log"  # of the derived key

_NOWHERE: Final = 2**63  # no file is that long
_NOT_OURS: Final = Head(number=-1)  # sealed is something that says nothing about this log

_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[Head] = msgspec.msgpack.Decoder(Head)


class Logbook:
    """Used by one task at a time. `files` may be read by anybody."""

    def __init__(self, path: Path, vault: Vault, clock: Clock) -> None:
        self.shelf = Shelf(path)
        self.problem = ""  # why the next file could not begin, a sentence
        self.era = 0  # how often another log was begun
        self.locking = False  # whether lines without the key may follow what is sealed now
        self.configure(AuditConfig())
        self._vault = vault
        self._clock = clock
        self._marks: list[AuditRecord] = []  # of the log about itself: the next to be written
        self._head: Head | None = None  # how it is on disk. None: nobody has looked yet
        self._sealed: Head | None = None  # None: the vault was not asked yet since it was opened
        self._plain_from = _NOWHERE  # where this daemon began to write without the key
        self._unsealed = 0  # records on disk beyond the sealed end

    def configure(self, config: AuditConfig) -> None:
        self.limit = config.size * _MIB
        self.most = config.files

    @property
    def full(self) -> bool:
        """Whether the end has to be sealed before more is written."""
        return self._unsealed >= UNSEALED

    @property
    def marked(self) -> bool:
        """Whether it has something to say about itself."""
        return bool(self._marks)

    @property
    def first(self) -> int:
        """The number of the first record that is kept; 0: nobody has looked yet."""
        return self._head.first if self._head else 0

    def files(self) -> dict[int, LogFile]:
        """By their first records, the oldest first."""
        head = self._head or Head()
        older = {one.number + 1: self.shelf.older(one.number + 1) for one in head.older}
        first = head.begin.number + 1
        return older | {first: self.shelf.last(first)}

    def _key(self) -> bytes | None:
        """None while the vault is locked: then what is on disk has to be looked at again after the next unlock."""
        try:
            return self._vault.derive(_PURPOSE)
        except Locked:
            self._sealed = None
            return None

    async def look(self) -> None:
        """At the files, once, and at what follows the sealed end, after each unlock."""
        if self._head is None:
            if torn := await anyio.to_thread.run_sync(self.shelf.current.cut_torn):
                self._mark(f"a last line of {torn} bytes had no end and was cut")
            self._unsealed = await anyio.to_thread.run_sync(self._plain_at_the_end)
            self._head = await anyio.to_thread.run_sync(self._as_it_says)
        key = self._key()
        if key is not None and self._sealed is None:
            await self._join(key)

    def _as_it_says(self) -> Head:
        """Of files that nobody can check yet."""
        firsts, file = self.shelf.firsts(), self.shelf.current
        older = tuple(Tip(first - 1) for first in firsts)
        said = chain.last(file.last_line())
        if not said and firsts:
            with suppress(OSError):  # no plain file of ours: the proof will say so
                said = chain.last(self.shelf.older(firsts[-1]).last_line())
        number, digest = said or (0, chain.START)
        size = file.size()
        first = chain.record(next(file.lines(0, size), b""))
        begin = Tip(first.number - 1) if first else Tip(number, digest) if older else Tip()
        return Head(number, digest, size, older=older, begin=begin)

    def _plain_at_the_end(self) -> int:
        """Lines that earlier daemons wrote and that no unlock has sealed in."""
        size = self.shelf.current.size()
        start, _ = self.shelf.current.start_of_last(UNSEALED, b"", size, far=_FAR)
        tail = list(map(chain.is_sealed, self.shelf.current.lines(start, size)))
        return sum(1 for _ in itertools.takewhile(lambda sealed: not sealed, tail[::-1]))

    async def _join(self, key: bytes) -> None:
        """Follows the chain from the sealed end to the end. Where it does not hold, goes on behind the sealed one."""
        assert self._head is not None
        try:
            payload = await self._vault.notes.read(_NOTE)
            sealed = decoded(_unpack, payload, _NOTE) if payload else Head(open=True)
        except Locked:
            return
        except DamagedNote as failure:
            self._mark(f"the sealed end of the log cannot be trusted: {failure.sentence}", ok=False)
            # One number is left out, so that this place shows: nobody knows whether records are missing before it.
            self._head = self._head.at(Tip(self._head.number + 1, chain.START, self._head.size))
            self._sealed = _NOT_OURS
            return
        if payload is None and await anyio.to_thread.run_sync(self._is_anothers, key):
            aside = await anyio.to_thread.run_sync(self.shelf.put_aside, f"before-{int(self._clock.wall())}")
            self._mark(f"a log of another store was here: it is {aside and aside.name} now")
            self._head = Head()
        if sealed.anew:
            await anyio.to_thread.run_sync(self._finish_anew)
            sealed = Head(open=True)
        head = await anyio.to_thread.run_sync(self._as_it_stands, sealed)
        plain_from = head.size if head.open else self._plain_from
        found = await anyio.to_thread.run_sync(self._followed, head, key, plain_from)
        flaw = await anyio.to_thread.run_sync(proof.shrunk, self.shelf, head)
        if flaw and not head.flaw:
            self._found_altered(flaw)
            head = msgspec.structs.replace(head, flaw=flaw)
        self._take(head, found)
        self._sealed, self._plain_from = sealed, _NOWHERE
        await anyio.to_thread.run_sync(self.shelf.sweep, head.first)

    def _is_anothers(self, key: bytes) -> bool:
        """Of a store that has never sealed a log: whether there is one that is sealed under another key."""
        if self.shelf.firsts():
            return True
        first = next(self.shelf.current.lines(0, self.shelf.current.size()), b"")
        return chain.is_sealed(first) and bool(chain.follow(iter([first]), Tip(), key).problem)

    def _as_it_stands(self, sealed: Head) -> Head:
        """What was sealed, less a next file that was never begun: a crash came before the rename."""
        if not sealed.older or sealed.size or os.path.lexists(self.shelf.place(sealed.older[-1].number + 1)):
            return sealed
        return sealed.turned_back() if self.shelf.current.size() >= sealed.older[-1].size else sealed

    def _followed(self, head: Head, key: bytes, plain_from: int) -> Found:
        file = self.shelf.current
        size = file.size()
        if size < head.size:
            known = chain.last(file.last_line()) or (0, chain.START)
            return Found(head.tip, problem=proof.ended(Tip(number=known[0]), head.tip))
        return chain.follow(file.lines(head.size, size), head.tip, key, 2 * UNSEALED, plain_from=plain_from)

    def _take(self, head: Head, found: Found) -> None:
        """Goes on behind what was found: as far as it holds, or bound to the sealed end."""
        assert self._head is not None
        here, self._unsealed = self._head.tip, found.sealed + found.plain
        problem = found.problem
        if not problem and found.tip != here:
            problem = proof.ended(found.tip, here)
        if problem:
            self._found_altered(problem)
            # Nothing that stands between becomes part of the chain.
            self._head = head.at(Tip(max(head.number, here.number), head.digest, here.size))
            return
        self._head = head.at(here)
        if found.sealed or found.plain:
            locked = f", {found.plain} of them written while the vault was locked" if found.plain else ""
            self._mark(f"records beyond the sealed end were taken in: {found.sealed + found.plain}{locked}")

    def _mark(self, detail: str, *, ok: bool = True) -> None:
        self._marks.append(AuditRecord(number=0, at=self._clock.wall(), what="audit", ok=ok, detail=detail))

    def _found_altered(self, problem: str) -> None:
        log.error("audit-altered", reason=problem)
        self._mark(f"the log was altered: {problem}", ok=False)

    async def write(self, batch: list[Note | Tally], lost: int) -> None:
        """Durable when it returns. `lost`: how many more there were. Raises OSError, and then nothing was written."""
        marks = list(self._marks)
        await anyio.to_thread.run_sync(self._append, batch, marks, lost, self._key())
        del self._marks[: len(marks)]
        self._unsealed += len(batch) + len(marks) + bool(lost)

    def _append(self, batch: list[Note | Tally], marks: list[AuditRecord], lost: int, key: bytes | None) -> None:
        assert self._head is not None
        expected = self._head.size
        gap = [self._gap(lost)] if lost else []
        data, tip = chain.lines(itertools.chain(marks, map(recorded, batch), gap), self._head.tip, key)
        before = self.shelf.current.append(data)
        if key is None:
            self._plain_from = min(self._plain_from, before)
        self._head = self._head.at(Tip(tip.number, tip.digest, tip.size + before - expected))
        if before != expected:
            self._found_altered(f"it had {before} bytes where {expected} were written")

    def _gap(self, lost: int) -> AuditRecord:
        return AuditRecord(
            number=0, at=self._clock.wall(), what="audit", ok=False, detail=f"{lost} records could not be written"
        )

    async def seal(self) -> None:
        """Does nothing while the vault is locked. Raises StoreFailed."""
        if self._head is not None and self._sealed is not None:
            await self._seal(self._head)

    async def _seal(self, head: Head) -> None:
        """A vault that wants a passphrase begins every start locked."""
        head = msgspec.structs.replace(head, open=self.locking or self._vault.key_source == "passphrase")
        if head == self._sealed:
            return
        try:
            await self._vault.notes.write(_NOTE, _pack.encode(head))
        except Locked:
            self._sealed = None
            return
        self._sealed, self._unsealed = head, 0
        point("audit-sealed")

    # The next file

    async def turn(self) -> None:
        """Begins the next file, where this one is large enough. While locked, or where that fails, it goes on growing.

        First the new beginning is sealed, then the file gets its name: a crash between leaves a file that a start takes
        for what it is, since nothing is written behind it before it has the name.
        """
        head = self._head
        if head is None or head.size < self.limit:
            self.problem = ""
            return
        if self._sealed is None:
            return
        try:
            await self._seal(head.turned())
            if self._sealed is None:  # it was locked meanwhile
                return
            point("audit-turning")
            aside = await anyio.to_thread.run_sync(self.shelf.begin_next, head.begin.number + 1)
        except (OSError, StoreFailed) as error:
            why = error.sentence if isinstance(error, StoreFailed) else folders.reason(error)
            self.problem = f"the audit log {self.shelf.path} cannot begin its next file: {why}"
            return
        self._head, self.problem = head.turned(), ""  # not before: whoever reads finds the files by it
        point("audit-turned")
        if aside:
            self._mark(f"what was in the way of a file of the log is {aside} now")
        await self._drop()

    async def _drop(self) -> None:
        """The oldest files, down to as many as are kept: first sealed, then removed. Raises StoreFailed."""
        key = self._key()
        while key is not None and self._head and len(self._head.older) > self.most:
            one, ahead = (*self._head.older, self._head.begin)[:2]
            try:
                flaw = await anyio.to_thread.run_sync(self._flaw, one, ahead, key)
            except OSError as error:
                self.problem = f"an altered file of the audit log cannot be kept: {folders.reason(error)}"
                return
            if flaw:
                self._found_altered(flaw)
            self._head = msgspec.structs.replace(self._head, older=self._head.older[1:], flaw=self._head.flaw or flaw)
            await self.seal()
            if self._sealed is None:  # it was locked meanwhile, and what is sealed still counts the file
                return
            self._mark(f"records {one.number + 1} to {ahead.number} were dropped: audit.files is {self.most}")
            point("audit-dropping")
            await anyio.to_thread.run_sync(self.shelf.sweep, self._head.first)

    def _flaw(self, one: Tip, ahead: Tip, key: bytes) -> str:
        """What is wrong with a file that is about to be dropped: then it is kept, under another name.

        Raises OSError: there it cannot be, and must not be dropped.
        """
        try:
            problem = proof.of_one(self.shelf, one, ahead, key).problem
        except OSError as error:
            problem = f"{self.shelf.place(one.number + 1).name} cannot be read: {folders.reason(error)}"
        if problem and (aside := self.shelf.keep_altered(one.number + 1)):
            problem = f"{problem}; it was not dropped, it is {aside} now"
        return problem

    # What can be asked

    def known(self) -> tuple[bytes, Head, Head] | None:
        """What `verdict` needs: the key, how the log is, and what of that is sealed. None: it is locked."""
        key = self._key()
        if key is None or self._head is None or self._sealed is None:
            return None
        return key, self._head, self._sealed

    def verdict(self, key: bytes, head: Head, sealed: Head) -> AuditVerdict:
        """Blocking: the whole chain, and its ends compared with those that were sealed. Raises OSError."""
        return proof.verdict(self.shelf, key, head, sealed)

    async def mean_anew(self) -> None:
        """First that is sealed: a start finishes what a crash cuts, and takes nothing for an attack.

        Raises StoreFailed, and then all is as before.
        """
        if self._head is not None and self._sealed is not None:
            await self._seal(msgspec.structs.replace(self._head, anew=True))

    def _finish_anew(self) -> None:
        aside = self.shelf.put_aside(f"before-{int(self._clock.wall())}")
        rest = f"what was left of the one before it is {aside.name} now" if aside else "the one before it was put aside"
        self._mark(f"a new log begins, as was asked for before the daemon ended: {rest}")
        self._head, self._unsealed = Head(), 0
        self.era += 1

    def begin_anew(self, caller: Caller, ended: str) -> Path | None:
        """Blocking: puts the log aside, under a name of its own; the next one begins with who asked, and how it ended.

        None: there was none. Raises OSError.
        """
        now = self._clock.wall()
        aside = self.shelf.put_aside(f"before-{int(now)}")
        was = f"{aside.name}, {ended}" if aside else "there was none"
        detail = f"a new log begins; the one before it: {was}"
        self._marks.insert(0, recorded((now, "audit", caller, True, "", detail, 0, 0, 0, "")))
        self._head, self._sealed = Head(), _NOT_OURS  # what is sealed is of the other one
        self._unsealed, self._plain_from = 0, _NOWHERE
        self.era += 1
        return aside
