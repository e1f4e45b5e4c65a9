"""The vault opened and locked, and whatever has to follow that: the one place where it does."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import clear_frames
from typing import Final

import anyio
from anyio.abc import TaskStatus

from aixtiv_protocol import requests
from aixtiv_protocol.requests import Request
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import DAEMON
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.errors import AixtivError, Locked
from aixtivd.ipc.idleness import LOOK, Idleness
from aixtivd.ipc.leases import Leases
from aixtivd.relay.relay import Relay

ALWAYS: Final = (
    requests.Hello,
    requests.Status,
    requests.Metrics,
    requests.Unlock,
    requests.Lock,
    requests.Restart,
    requests.Stop,
)
"""What is answered while the vault is locked. Nothing else is, whether it needs the vault or not: that is easier to
trust than a list of exceptions."""

_AGAIN: Final = 60.0  # seconds until the next try, where locking would have lost something


class Opening:
    """`idleness`: counts what is asked of the vault. `leases`: of what callers have under way.

    `locking`: from when a lock is asked for until it succeeded or failed; in an unlock, until requests are served.
    """

    def __init__(
        self, accounts: Accounts, relay: Relay, tickets: Tickets, audit: Audit, leases: Leases, clock: Clock
    ) -> None:
        self.idleness = Idleness(leases, relay, clock)
        self.locked: list[Callable[[], None]] = []  # called when the vault has been, and what was under way has ended
        self._accounts = accounts
        self._relay = relay
        self._tickets = tickets
        self._audit = audit
        self._leases = leases
        self._clock = clock
        self._after = 0.0  # seconds without a request until it locks by itself; 0: never
        self.locking = False
        self._turns = 0  # locks that were asked for, and unlocks under way
        self._changed = anyio.Event()
        self._turning = anyio.Lock()  # what follows an unlock must not run behind the next lock

    def configure(self, config: Config) -> None:
        self._after = config.vault.lock_after * 60.0
        self.idleness.restart()
        self._changed.set()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._turns += 1
        self.locking = True
        try:
            yield
        finally:
            self._turns -= 1
            self.locking = self._turns > 0

    def check(self, asked: Request) -> None:
        """Raises Locked for what has to wait until somebody unlocks the vault."""
        if type(asked) not in ALWAYS:
            if self.locking or self._accounts.locked:
                raise Locked
            self.idleness.requests += 1

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Locks the vault when nobody has wanted anything for long enough. Runs until cancelled."""
        task_status.started()
        while True:
            await self._clock.pause(self._changed, self._nap())
            self._changed = anyio.Event()
            if self._after and not self._accounts.locked and self.idleness.seconds() >= self._after:
                minutes = f"{self._after / 60:.0f} minute{'s' if self._after > 60 else ''}"
                await self.lock_by_itself(f"nobody asked for anything for {minutes}")

    def _nap(self) -> float | None:
        """A look in between, so that what began and ended since the last one is not passed over for long."""
        if not self._after or self._accounts.locked:
            return None
        return min(LOOK, max(0.5, self._after - self.idleness.seconds()))

    async def lock_by_itself(self, why: str) -> None:
        """Where nobody waits for the outcome: it is told to log and audit. Raises nothing."""
        locked = self._accounts.locked
        try:
            await self.lock(f"{why}, so it was locked")
        except AixtivError as failure:
            self._not_locked(failure.sentence)
        except Exception as error:  # noqa: BLE001  # a defect here must not end the daemon
            log.error("defect", exception=type(error).__name__, where=log.places(error))
            self._not_locked("a defect in aixtiv; the daemon's log says where")
        else:
            if not locked:
                self._audit.note("lock", DAEMON, detail=why)

    def _not_locked(self, sentence: str) -> None:
        log.error("not-locked", reason=sentence)
        self._audit.note("lock", DAEMON, ok=False, detail=sentence)
        self.idleness.restart()

    async def unlock(self, asked: requests.Unlock) -> None:
        """Goes on if the caller hangs up, and then to its end: an open vault without its tickets would be half open."""
        with anyio.CancelScope(shield=True):
            async with self._turning:
                if self._accounts.locked:
                    with self._turn():
                        await self._opened(asked)
                        await self._tickets.start()
                        await self._audit.unlocked()
        self.idleness.restart()
        self._changed.set()

    async def _opened(self, asked: requests.Unlock) -> None:
        try:
            with self._audit.locking():  # where it fails half-way
                await self._accounts.unlock(asked)
        except AixtivError as failure:
            clear_frames(failure.__traceback__)  # they hold what was tried
            raise

    async def lock(self, why: str = "it was locked on request") -> None:
        """Open refreshes and sign-ins finish and are sealed; then what is under way ends, and no key or token is left.

        Tickets stay: their hashes are no secrets, and what they open is locked itself. Raises StoreFailed where
        something would be lost: then nothing has ended.
        """
        with anyio.CancelScope(shield=True), self._turn():
            async with self._turning:
                try:
                    with self._audit.locking():
                        await self._audit.flush()  # while there is a key to seal it with
                        await self._accounts.lock(why)
                finally:
                    if self._accounts.locked:  # also where the store could not be closed in order
                        await self._end_all()

    async def _end_all(self) -> None:
        await self._relay.cut(_meanwhile())
        await self._leases.end_all(_meanwhile)
        for forget in self.locked:
            forget()
        gc.collect()  # what was dropped and refers to itself in circles


def _meanwhile() -> Locked:
    return Locked("the vault was locked meanwhile")
