"""The audit log on disk, and its end as the vault has sealed it: looked at, gone on with, verified."""

import itertools
import os
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from aixtiv_protocol.replies import AuditRecord, AuditVerdict
from aixtivd import log
from aixtivd.access import chain
from aixtivd.access.caller import Caller
from aixtivd.access.chain import Found, Tip
from aixtivd.access.logfile import LogFile
from aixtivd.access.note import Note, recorded
from aixtivd.clock import Clock
from aixtivd.errors import Locked
from aixtivd.host.faults import point
from aixtivd.vault.notes import DamagedNote
from aixtivd.vault.vault import Vault

UNSEALED: Final = 10_000
"""Records beyond the sealed end at most: while the vault is locked, or its store cannot be written, the rest waits in
memory. A start takes in twice as many (some under the key, some from behind a lock); more than that are not ours."""

_FAR: Final = 64 * 1024 * 1024  # bytes in which they are looked for: more than so many can have
_NOTE: Final = "audit"  # the vault's
_PURPOSE: Final = "audit log"  # of the derived key

_NOWHERE: Final = 2**63  # no file is that long


class _Head(chain.Tip, frozen=True, array_like=True):
    """The sealed end. `open`: what follows may have been written by a locked daemon, without the key."""

    open: bool = False


_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[_Head] = msgspec.msgpack.Decoder(_Head)


class Logbook:
    """Used by one task at a time. `file` may be read by anybody."""

    def __init__(self, path: Path, vault: Vault, clock: Clock) -> None:
        self.file = LogFile(path)
        self._vault = vault
        self._clock = clock
        self._marks: list[AuditRecord] = []  # of the log about itself: the next to be written
        self._tip: Tip | None = None  # None: nobody has looked at the file yet
        self._sealed: Tip | None = None  # None: the vault was not asked yet since it was opened
        self._open = False  # what was sealed last
        self._plain_from = _NOWHERE  # where this daemon began to write without the key
        self._unsealed = 0  # records on disk beyond the sealed end

    @property
    def full(self) -> bool:
        """Whether the end has to be sealed before more is written."""
        return self._unsealed >= UNSEALED

    @property
    def marked(self) -> bool:
        """Whether it has something to say about itself."""
        return bool(self._marks)

    def _key(self) -> bytes | None:
        """None while the vault is locked: then what is on disk has to be looked at again after the next unlock."""
        try:
            return self._vault.derive(_PURPOSE)
        except Locked:
            self._sealed = None
            return None

    async def look(self) -> None:
        """At the file, once, and at what follows the sealed end, after each unlock."""
        if self._tip is None:
            if torn := await anyio.to_thread.run_sync(self.file.cut_torn):
                self._mark(f"a last line of {torn} bytes had no end and was cut")
            self._tip = await anyio.to_thread.run_sync(self._end_as_it_says)
            self._unsealed = await anyio.to_thread.run_sync(self._plain_at_the_end)
        key = self._key()
        if key is not None and self._sealed is None:
            await self._join(key)

    def _end_as_it_says(self) -> Tip:
        """Of a file that nobody can check yet."""
        number, digest = chain.last(self.file.last_line()) or (0, chain.START)
        return Tip(number, digest, self.file.size())

    def _plain_at_the_end(self) -> int:
        """Lines that earlier daemons wrote and that no unlock has sealed in."""
        size = self.file.size()
        tail = self.file.lines(self.file.start_of_last(UNSEALED, b"", size, far=_FAR), size)
        return sum(1 for _ in itertools.takewhile(lambda sealed: not sealed, list(map(chain.is_sealed, tail))[::-1]))

    async def _join(self, key: bytes) -> None:
        """Follows the chain from the sealed end to the end. Where it does not hold, goes on behind the sealed one."""
        assert self._tip is not None
        try:
            payload = await self._vault.notes.read(_NOTE)
        except Locked:
            return
        except DamagedNote as failure:
            self._mark(f"the sealed end of the log cannot be trusted: {failure.sentence}", ok=False)
            # One number is left out, so that this place shows: nobody knows whether records are missing before it.
            self._sealed = self._tip = Tip(self._tip.number + 1, chain.START, self._tip.size)
            return
        known = _unpack.decode(payload) if payload else _Head(open=True)
        head = Tip(known.number, known.digest, known.size)
        self._open = known.open
        if not payload and await anyio.to_thread.run_sync(self._is_anothers, key):
            aside = await anyio.to_thread.run_sync(self.file.put_aside, f"before-{int(self._clock.wall())}")
            self._mark(f"a log of another store was here: it is {aside.name} now")
            self._tip = Tip()
        plain_from = head.size if known.open else self._plain_from
        found = await anyio.to_thread.run_sync(self._followed, head, key, plain_from)
        self._take(head, found)
        self._plain_from = _NOWHERE

    def _is_anothers(self, key: bytes) -> bool:
        """Of a store that has never sealed a log: whether there is one that is sealed under another key."""
        first = next(self.file.lines(0, self.file.size()), b"")
        return chain.is_sealed(first) and bool(chain.follow(iter([first]), Tip(), key).problem)

    def _followed(self, head: Tip, key: bytes, plain_from: int) -> Found:
        size = self.file.size()
        if size < head.size:
            known = chain.last(self.file.last_line()) or (0, chain.START)
            return Found(head, problem=_ended(Tip(number=known[0]), head))
        return chain.follow(self.file.lines(head.size, size), head, key, 2 * UNSEALED, plain_from=plain_from)

    def _take(self, head: Tip, found: Found) -> None:
        assert self._tip is not None
        self._sealed, self._unsealed = head, found.sealed + found.plain
        problem = found.problem
        if not problem and found.tip != self._tip:
            problem = _ended(found.tip, self._tip)
        if problem:
            log.error("audit-altered", reason=problem)
            self._mark(f"the log was altered: {problem}", ok=False)
            # Bound to the sealed end, so that nothing that stands between becomes part of the chain.
            self._tip = Tip(max(head.number, self._tip.number), head.digest, self._tip.size)
            return
        if found.sealed or found.plain:
            locked = f", {found.plain} of them written while the vault was locked" if found.plain else ""
            self._mark(f"records beyond the sealed end were taken in: {found.sealed + found.plain}{locked}")

    def _mark(self, detail: str, *, ok: bool = True) -> None:
        self._marks.append(AuditRecord(number=0, at=self._clock.wall(), what="audit", ok=ok, detail=detail))

    async def write(self, batch: list[Note], lost: int) -> None:
        """Durable when it returns. `lost`: how many more there were. Raises OSError, and then nothing was written."""
        marks = list(self._marks)
        await anyio.to_thread.run_sync(self._append, batch, marks, lost, self._key())
        del self._marks[: len(marks)]
        self._unsealed += len(batch) + len(marks) + bool(lost)

    def _append(self, batch: list[Note], marks: list[AuditRecord], lost: int, key: bytes | None) -> None:
        assert self._tip is not None
        expected = self._tip.size
        gap = [self._gap(lost)] if lost else []
        data, tip = chain.lines(itertools.chain(marks, map(recorded, batch), gap), self._tip, key)
        before = self.file.append(data)
        if key is None:
            self._plain_from = min(self._plain_from, before)
        self._tip = Tip(tip.number, tip.digest, tip.size + before - expected)
        if before != expected:
            log.error("audit-altered", reason=f"{before} bytes where {expected} were written")
            self._mark(f"the log was altered: it had {before} bytes where {expected} were written", ok=False)

    def _gap(self, lost: int) -> AuditRecord:
        return AuditRecord(
            number=0, at=self._clock.wall(), what="audit", ok=False, detail=f"{lost} records could not be written"
        )

    async def seal(self, *, locking: bool = False) -> None:
        """Does nothing while the vault is locked. Raises StoreFailed.

        `locking`: lines without the key may follow. A vault that wants a passphrase begins every start locked.
        """
        opened = locking or self._vault.key_source == "passphrase"
        if self._tip is None or self._sealed is None or (self._sealed, self._open) == (self._tip, opened):
            return
        tip = self._tip
        try:
            await self._vault.notes.write(_NOTE, _pack.encode(_Head(tip.number, tip.digest, tip.size, opened)))
        except Locked:
            self._sealed = None
            return
        self._sealed, self._open, self._unsealed = tip, opened, 0
        point("audit-sealed")

    def known(self) -> tuple[bytes, Tip, Tip] | None:
        """What `verify` needs: the key, where the log ends, and where its sealed part does. None: it is locked."""
        key = self._key()
        if key is None or self._tip is None or self._sealed is None:
            return None
        return key, self._tip, self._sealed

    def verified(self, key: bytes, tip: Tip, head: Tip) -> AuditVerdict:
        """Blocking: the whole chain, and its end compared with the one that was sealed. Raises OSError."""
        found = chain.follow(self.file.lines(0, tip.size), Tip(), key, head=head)
        problem = found.problem
        if not problem and found.tip != tip:
            problem = _ended(found.tip, tip)
        return AuditVerdict(intact=not problem, records=found.tip.number, plain=found.plain, problem=problem)

    def begin_anew(self, caller: Caller, ended: str) -> Path | None:
        """Blocking: puts the log aside, under a name of its own; the next one begins with who asked, and how it ended.

        None: there was none. Raises OSError.
        """
        now = self._clock.wall()
        aside = self.file.put_aside(f"before-{int(now)}") if os.path.lexists(self.file.path) else None
        was = f"{aside.name}, {ended}" if aside else "there was none"
        detail = f"a new log begins; the one before it: {was}"
        self._marks.insert(0, recorded((now, "audit", caller, True, "", detail, 0, 0, 0, "")))
        self._tip, self._sealed = Tip(), Tip(number=-1)  # what is sealed is of the other one
        self._unsealed, self._plain_from = 0, _NOWHERE
        return aside


def _ended(found: Tip, expected: Tip) -> str:
    if found.number == expected.number:
        return f"record {found.number} is not the one that was written"
    return f"the log ends with record {found.number}, and there were {expected.number}"
