"""The audit log: what happened to credentials, on whose behalf, append-only and chained (D14).

`note` only puts a few words aside. The writer takes what has gathered, at most half a second later, and writes it in
one piece: first the lines, forced to the disk, then the end of the log (number, digest, size), sealed in the vault. So
what the log loses at a power cut or `kill -9` is what happened in that half second, and lines that were written
and not sealed are recognised by their chain and taken in at the next start, with a record that says so.

What contradicts the sealed end is never mended: records go on behind it, and `verify` finds the place for ever.

Where the disk takes nothing, records wait in memory, and it is said; with `on-failure = "stop"` nothing more is handed
out meanwhile (`admit`). What was handed out before that was noticed is recorded with the rest.
"""

import asyncio
import shlex
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from aixtiv_protocol import VERSION, requests
from aixtiv_protocol.replies import AuditRecord, AuditVerdict, UsageReport, What
from aixtivd import log
from aixtivd.access import usage
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.access.logbook import Logbook
from aixtivd.access.note import Note, Tally
from aixtivd.access.reading import Reading
from aixtivd.clock import Clock
from aixtivd.config import AuditConfig
from aixtivd.errors import Locked, StoreFailed
from aixtivd.vault import folder as folders
from aixtivd.vault.vault import Vault

DELAY: Final = 0.5  # seconds in which records gather: one forced write to the disk serves them all
RETRY: Final = 5.0  # seconds until the next try where the disk takes nothing
PATIENCE: Final = 5.0  # seconds after which a disk that does not answer is taken for one that fails, until it does
_TURNING: Final = 60.0  # as much where a file begins, and the oldest may be read once more before it is dropped
_MOST: Final = 100_000  # notes that wait to be written; more are only counted
_BATCH: Final = 2_000  # records in one piece


class Audit:
    """`problem`: why records wait to be written or sealed, a sentence; empty: nothing waits for longer than it must.

    `stopped`: nothing may be handed out meanwhile.
    """

    def __init__(self, folder: Path, vault: Vault, clock: Clock, config: AuditConfig | None = None) -> None:
        self.problem = ""
        self.stopped = False
        self._stops = False  # where it has a problem
        self._book = Logbook(folder / "audit.log", vault, clock)
        self._vault = vault
        self._clock = clock
        self._notes: deque[Note | Tally] = deque()
        self._tallies: dict[tuple[int, str], Tally] = {}  # of those: which still count, by caller and account
        self._lost = 0  # notes that were only counted
        self._awake = False
        self._wake = anyio.Event()
        self._hurry = anyio.Event()
        self._written = anyio.Event()  # for those who follow
        self._writing = anyio.Lock()
        self.reconfigure(config or AuditConfig())

    def reconfigure(self, config: AuditConfig) -> None:
        self._book.configure(config)
        self._stops = config.on_failure == "stop"
        self._heed()

    def _heed(self) -> None:
        """Stopped before anything is lost: whose record takes the last room was the last to be handed anything."""
        self.stopped = self._stops and bool(self.problem or self._lost or len(self._notes) >= _MOST)

    @property
    def announced(self) -> str:
        """The problem, and what it means for callers."""
        return f"{self.problem}; nothing is handed out meanwhile" if self.problem and self.stopped else self.problem

    def admit(self) -> None:
        """To be asked before anything is handed out. Raises StoreFailed where it could not be recorded."""
        if self.stopped:
            why = self.problem or "records cannot be written as fast as they come"
            raise StoreFailed(f"nothing is handed out that cannot be recorded (audit.on-failure): {why}")

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
        self._put_aside((self._clock.wall(), what, caller, ok, account, detail, status, sent, received, kind))

    def token(self, caller: Caller, account: str, at: float) -> Tally | None:
        """One was handed out: the hot path's own `note`. What is alike and waits to be written is counted together.

        Where it was counted. None: there is no room for more.
        """
        tally = self._tallies.get((id(caller), account))  # which holds the caller, so that nobody else gets its id
        if tally is not None:
            tally.count += 1
            tally.last_at = at
            return tally
        tally = Tally(at, caller, account)
        if not self._put_aside(tally):
            return None
        self._tallies[id(caller), account] = tally
        return tally

    def _put_aside(self, note: Note | Tally) -> bool:
        notes = self._notes
        if len(notes) >= _MOST:
            self._lost += 1
            self._heed()
            return False
        notes.append(note)
        if not self._awake:
            self._rouse()
        elif len(notes) == _BATCH:
            self._hurry.set()
        if len(notes) == _MOST:
            self._heed()
        return True

    @contextmanager
    def locking(self) -> Iterator[None]:
        """Around what may lock the vault: what is written behind anything that is sealed in it may have no key."""
        self._book.locking = True
        try:
            yield
        finally:
            self._book.locking = False

    async def flush(self) -> None:
        """Until all that was noted before is on the disk and sealed, as far as that can be done now. Raises nothing.

        What is noted meanwhile gathers for the next time: whoever goes on asking keeps nobody waiting here.
        """
        with anyio.CancelScope(shield=True):
            async with self._writing:
                try:
                    with self._awaited():
                        await self._book.look()
                    await self._write_all()
                    await self._seal()
                except OSError as error:
                    self._fail(f"the audit log {self._book.shelf.path} cannot be written: {folders.reason(error)}")
                except StoreFailed as failure:
                    self._fail(f"the end of the audit log cannot be sealed: {failure.sentence}")
                else:
                    if self._book.problem:
                        self._fail(self._book.problem)
                    else:
                        self._mend()

    @contextmanager
    def _awaited(self, seconds: float = 0.0) -> Iterator[None]:
        """Around what the disk has to answer: where it hangs, that is said meanwhile, and stops what has to stop."""
        seconds = seconds or PATIENCE
        problem = f"the audit log {self._book.shelf.path} cannot be written: no answer for {seconds:.0f} seconds"
        timer = asyncio.get_running_loop().call_later(seconds, self._fail, problem)
        try:
            yield
        finally:
            timer.cancel()

    async def unlocked(self) -> None:
        """Seals in what was written while the vault was locked."""
        await self.flush()

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.error("audit-fails", reason=problem, waiting=len(self._notes))
        self.problem = problem
        self._heed()

    def _mend(self) -> None:
        if self.problem:
            log.info("audit-works-again")
        self.problem = ""
        self._heed()

    async def _write_all(self) -> None:
        left, lost = len(self._notes), self._lost
        while left or lost or self._book.marked:
            if self._book.full:
                await self._seal()
            if self._book.full:  # locked: the rest waits for the unlock
                return
            with self._awaited(_TURNING):
                await self._book.turn()
            batch = min(_BATCH, left)
            left -= batch
            await self._write_some(batch, 0 if left else lost)
            lost = lost if left else 0
            self._tell_followers()

    async def _seal(self) -> None:
        with self._awaited():
            await self._book.seal()

    def _tell_followers(self) -> None:
        written, self._written = self._written, anyio.Event()
        written.set()

    async def _write_some(self, count: int, lost: int) -> None:
        """The oldest notes, and how many came when no more could wait. What cannot be written waits, in its order."""
        for tally in self._tallies.values():
            tally.open = False  # what is written counts no more
        self._tallies.clear()
        batch = [self._notes.popleft() for _ in range(count)]
        try:
            with self._awaited():
                await self._book.write(batch, lost)
        except BaseException:
            self._notes.extendleft(reversed(batch))
            raise
        self._lost -= lost

    # What can be asked about it

    async def records(self, asked: requests.Audit) -> AsyncGenerator[AuditRecord, None]:
        """The newest, oldest first; with `follow` then whatever happens, for ever. Raises StoreFailed."""
        await self.flush()
        if not self._book.first:
            raise StoreFailed(self.problem)
        reading = Reading(self._book, asked.account)
        try:
            await anyio.to_thread.run_sync(reading.look_back, asked.limit)
            while True:
                written = self._written
                while page := await anyio.to_thread.run_sync(reading.page):
                    for record in page:
                        yield record
                if not asked.follow:
                    return
                await written.wait()
        except OSError as error:
            raise self._unreadable(error) from None

    async def verify(self) -> AuditVerdict:
        """Follows the whole chain. Intact, it may still have a `problem`: records wait. Raises Locked, StoreFailed."""
        await self.flush()
        while True:
            verdict, first = await self._followed()
            # What is not there may have been dropped on purpose while it was looked for.
            if verdict.intact or first == self._book.first:
                return msgspec.structs.replace(verdict, problem=verdict.problem or self.problem)

    async def _followed(self) -> tuple[AuditVerdict, int]:
        """With the first record that had to be there. Raises Locked, StoreFailed."""
        async with self._writing:
            known, first = self._book.known(), self._book.first
        if known is None:
            if self._vault.locked:
                raise Locked("the vault is locked, and the audit log cannot be verified without it")
            raise StoreFailed(self.problem or "the end of the audit log is not known yet", hint="aixtiv audit")
        try:
            return await anyio.to_thread.run_sync(self._book.verdict, *known), first
        except OSError as error:
            raise self._unreadable(error) from None

    async def begin_anew(self, caller: Caller) -> str:
        """Puts the log aside, whatever became of it, and begins another: a sentence. Raises Locked, StoreFailed."""
        try:
            verdict = await self.verify()
            last = verdict.first + verdict.records - 1
            ended = f"which ends with record {last} and is {'whole' if verdict.intact else 'not whole'}"
            ended += f": {verdict.problem}" if verdict.problem else ""
        except StoreFailed as failure:
            ended = failure.sentence
        with anyio.CancelScope(shield=True):
            async with self._writing:
                await self._book.mean_anew()
                try:
                    aside = await anyio.to_thread.run_sync(self._book.begin_anew, caller, ended)
                except OSError as error:
                    raise self._unreadable(error) from None
            await self.flush()
            self._tell_followers()
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
        files = self._book.files().values()
        return usage.summed((line for file in files for line in file.lines(0, file.size())), since)

    def _unreadable(self, error: OSError) -> StoreFailed:
        path = self._book.shelf.path
        return StoreFailed(
            f"the audit log {path} cannot be read: {folders.reason(error)}", hint=f"ls -l {shlex.quote(str(path))}"
        )
