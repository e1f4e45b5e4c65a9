"""When the daemon ends by itself: nobody has come for long enough, nobody is there, nothing is due (`idle-exit`)."""

from collections.abc import Callable, Mapping
from typing import Final

import anyio
from anyio.abc import TaskStatus

from aixtivd import log
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.gateway.gateway import Gateway
from aixtivd.host.address import Address
from aixtivd.ipc.listener import Listener
from aixtivd.vault.vault import Vault

STARTED: Final = "AIXTIV_STARTED_BY"
"""Says `command` in the environment of a daemon that an `aixtiv` started in the background, and would start again."""

LOOK: Final = 37.0  # seconds between two looks: the machine may sleep meanwhile (D9)
MINUTE: Final = 60.0


class Quiet:
    """Looked at now and then, so that a caller costs no more than a number counted up. Without a limit, no timer.

    `startable`: whether the config leaves somebody who starts it again; `end`: ends the daemon.
    """

    def __init__(
        self,
        listener: Listener,
        gateway: Gateway,
        accounts: Accounts,
        tickets: Tickets,
        vault: Vault,
        clock: Clock,
        startable: Callable[[Config], bool],
        end: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._gateway = gateway
        self._accounts = accounts
        self._tickets = tickets
        self._vault = vault
        self._clock = clock
        self._startable = startable
        self._end = end
        self._limit = 0.0  # seconds; 0: never
        self._seen = (0, 0)
        self._since = clock.steady()
        self._changed = anyio.Event()

    def configure(self, config: Config) -> None:
        minutes = config.service.idle_exit
        if minutes and not self._startable(config):
            log.warning("idle-exit-off", reason="nobody would start this daemon again")
            minutes = 0
        self._limit, self._since = minutes * MINUTE, self._clock.steady()
        self._changed.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until it has ended the daemon, or is cancelled."""
        task_status.started()
        while not self._limit or self._seconds() < self._limit:
            await self._clock.pause(self._changed, self._nap())
            self._changed = anyio.Event()
        log.info("idle", minutes=round(self._limit / MINUTE))
        self._end()

    def _nap(self) -> float | None:
        return min(LOOK, max(0.5, self._limit - self._seconds())) if self._limit else None

    def _seconds(self) -> float:
        """Never too many: what was there at the last look is taken to have been there until this one."""
        now, seen = self._clock.steady(), (self._listener.begun, self._gateway.begun)
        if seen != self._seen or self._needed():
            self._seen, self._since = seen, now
        return now - self._since

    def _needed(self) -> bool:
        """By whoever is connected, or by what ends with the daemon, or by what only a running one does."""
        only_a_person_opens_it = not self._vault.locked and self._vault.key_source == "passphrase"
        here = self._listener.open or self._gateway.open
        return bool(here or only_a_person_opens_it or self._accounts.due() or self._tickets.held or self._vault.spilled)


def startable(address: Address, environ: Mapping[str, str]) -> Callable[[Config], bool]:
    """By its service manager, who listens for it; or by the next command, which started it in the background: but a
    tool that calls a fixed port, and no command, would find it closed.
    """
    activated, by_command = address.inode is None, environ.get(STARTED) == "command"
    return lambda config: activated or (by_command and not config.claude.port)
