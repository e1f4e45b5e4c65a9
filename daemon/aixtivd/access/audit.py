"""The audit log: what happened to credentials, on whose behalf, append-only and chained (D14).

`note` only puts a few words aside. The writer takes what has gathered, at most half a second later, and writes it in
one piece: first the lines, forced to the disk, then the end of the log (number, digest, size), sealed in the vault. So
what the log loses at a power cut or `kill -9` is what happened in that half second, and lines that were written
and not sealed are recognised by their chain and taken in at the next start, with a record that says so.

What contradicts the sealed end is never mended: records go on behind it, and `verify` finds the place for ever.
"""

import shlex
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from aixtiv_protocol import VERSION, requests
from aixtiv_protocol.replies import AuditRecord, AuditVerdict, UsageReport, What
from aixtivd import log
from aixtivd.access import chain, usage
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.access.logbook import Logbook
from aixtivd.access.note import Note, clean
from aixtivd.clock import Clock
from aixtivd.errors import Locked, StoreFailed
from aixtivd.vault import folder as folders
from aixtivd.vault.vault import Vault

DELAY: Final = 0.5  # seconds in which records gather: one forced write to the disk serves them all
RETRY: Final = 5.0  # seconds until the next try where the disk takes nothing
_MOST: Final = 100_000  # notes that wait to be written; more are only counted
_BATCH: Final = 2_000  # records in one piece
_PAGE: Final = 200  # records read at once


class Audit:
    """`problem`: why records wait to be written or sealed, a sentence; empty: nothing waits for longer than it must."""

    def __init__(self, folder: Path, vault: Vault, clock: Clock) -> None:
        self.problem = ""
        self._book = Logbook(folder / "audit.log", vault, clock)
        self._vault = vault
        self._clock = clock
        self._notes: deque[Note] = deque()
        self._lost = 0  # notes that were only counted
        self._awake = False
        self._wake = anyio.Event()
        self._hurry = anyio.Event()
        self._writing = anyio.Lock()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Writes what is noted until it is cancelled, and then what is left. Never raises for a disk's sake."""
        self.note("start", DAEMON, detail=f"aixtivd {VERSION}")
        task_status.started()
        try:
            while True:
                await self._wake.wait()
                await self._clock.pause(self._hurry, RETRY if self.problem else DELAY)
                self._awake, self._wake, self._hurry = False, anyio.Event(), anyio.Event()
                await self.flush()
                if self._waits():
                    self._rouse()
        finally:
            await self.flush()

    def _waits(self) -> bool:
        """Whether there is something that another try may write. While locked, an unlock is waited for."""
        if self._vault.locked and self._book.full:
            return False
        return bool(self._notes or self._lost or self._book.marked or self.problem)

    def _rouse(self) -> None:
        self._awake = True
        self._wake.set()

    def note(  # noqa: PLR0913  # a record has as many fields
        self,
        what: What,
        caller: Caller,
        *,
        ok: bool = True,
        account: str = "",
        detail: str = "",
        status: int = 0,
        sent: int = 0,
        received: int = 0,
        kind: str = "",
    ) -> None:
        """Never waits, never raises. `detail`: words of ours, never a credential."""
        notes = self._notes
        if len(notes) >= _MOST:
            self._lost += 1
            return
        notes.append((self._clock.wall(), what, caller, ok, account, detail, status, sent, received, kind))
        if not self._awake:
            self._rouse()
        elif len(notes) == _BATCH:
            self._hurry.set()

    async def flush(self, *, locking: bool = False) -> None:
        """Until all that was noted is on the disk and sealed, as far as that can be done now. Raises nothing.

        `locking`: the vault is about to be locked, so that what is written next has no key.
        """
        with anyio.CancelScope(shield=True):
            async with self._writing:
                try:
                    await self._book.look()
                    await self._write_all()
                    await self._book.seal(locking=locking)
                except OSError as error:
                    self._fail(f"the audit log {self._book.file.path} cannot be written: {folders.reason(error)}")
                except StoreFailed as failure:
                    self._fail(f"the end of the audit log cannot be sealed: {failure.sentence}")
                else:
                    self._mend()

    async def unlocked(self) -> None:
        """Seals in what was written while the vault was locked."""
        await self.flush()

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.error("audit-fails", reason=problem, waiting=len(self._notes))
        self.problem = problem

    def _mend(self) -> None:
        if self.problem:
            log.info("audit-works-again")
        self.problem = ""

    async def _write_all(self) -> None:
        while self._notes or self._lost or self._book.marked:
            if self._book.full:
                await self._book.seal()
            if self._book.full:  # locked: the rest waits for the unlock
                return
            await self._write_some()

    async def _write_some(self) -> None:
        """What cannot be written waits, in its order."""
        batch = [self._notes.popleft() for _ in range(min(_BATCH, len(self._notes)))]
        lost = 0 if self._notes else self._lost  # they came when no more could wait
        try:
            await self._book.write(batch, lost)
        except BaseException:
            self._notes.extendleft(reversed(batch))
            raise
        self._lost -= lost

    # What can be asked about it

    async def records(self, asked: requests.Audit) -> AsyncGenerator[AuditRecord, None]:
        """The newest, oldest first. What is no record is passed over: `verify` tells of it. Raises StoreFailed."""
        await self.flush()
        needle = _needle(asked.account)
        try:
            stop = await anyio.to_thread.run_sync(self._book.file.size)
            look_back = partial(self._book.file.start_of_last, asked.limit, needle, stop)
            start = await anyio.to_thread.run_sync(look_back) if asked.limit else 0
            with closing(self._book.file.lines(start, stop)) as lines:
                while page := await anyio.to_thread.run_sync(_page, lines, needle):
                    for record in page:
                        yield record
        except OSError as error:
            raise self._unreadable(error) from None

    async def verify(self) -> AuditVerdict:
        """Follows the whole chain. Intact, it may still have a `problem`: records wait. Raises Locked, StoreFailed."""
        await self.flush()
        async with self._writing:
            known = self._book.known()
        if known is None:
            if self._vault.locked:
                raise Locked("the vault is locked, and the audit log cannot be verified without it")
            raise StoreFailed(self.problem or "the end of the audit log is not known yet", hint="aixtiv audit")
        try:
            verdict = await anyio.to_thread.run_sync(self._book.verified, *known)
        except OSError as error:
            raise self._unreadable(error) from None
        return msgspec.structs.replace(verdict, problem=verdict.problem or self.problem)

    async def begin_anew(self, caller: Caller) -> str:
        """Puts the log aside, whatever became of it, and begins another: a sentence. Raises Locked, StoreFailed."""
        try:
            verdict = await self.verify()
            ended = f"which ends with record {verdict.records} and is {'whole' if verdict.intact else 'not whole'}"
            ended += f": {verdict.problem}" if verdict.problem else ""
        except StoreFailed as failure:
            ended = failure.sentence
        with anyio.CancelScope(shield=True):
            async with self._writing:
                try:
                    aside = await anyio.to_thread.run_sync(self._book.begin_anew, caller, ended)
                except OSError as error:
                    raise self._unreadable(error) from None
            await self.flush()
        if self.problem:
            raise StoreFailed(self.problem)
        return f"a new audit log begins; the one before it is {aside}" if aside else "a new audit log begins"

    async def usage(self, asked: requests.Usage) -> UsageReport:
        """What was relayed since then. Raises StoreFailed."""
        await self.flush()
        try:
            return await anyio.to_thread.run_sync(self._summed, asked.since)
        except OSError as error:
            raise self._unreadable(error) from None

    def _summed(self, since: int) -> UsageReport:
        return usage.summed(self._book.file.lines(0, self._book.file.size()), since)

    def _unreadable(self, error: OSError) -> StoreFailed:
        path = self._book.file.path
        return StoreFailed(
            f"the audit log {path} cannot be read: {folders.reason(error)}", hint=f"ls -l {shlex.quote(str(path))}"
        )


def _needle(account: str) -> bytes:
    """What stands in the lines of that account and in no others: a quote within a text has a backslash before it."""
    return b'"account":' + msgspec.json.encode(clean(account)) if account else b""


def _page(lines: Iterator[bytes], needle: bytes) -> list[AuditRecord]:
    """The next records; empty at the end."""
    found: list[AuditRecord] = []
    for line in lines:
        if needle in line and (record := chain.record(line)):
            found.append(record)
            if len(found) == _PAGE:
                break
    return found
