"""Tickets: local capabilities, each for one account, some verbs and a time, kept as hashes."""

from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Verb
from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.clock import Clock
from aixtivd.vault.vault import Vault

PREFIX = "aixtiv-ticket-"


class Held(Struct, frozen=True, kw_only=True):
    """A ticket that is good. The secret itself is nowhere."""

    id: str
    account: str
    verbs: tuple[Verb, ...]
    name: str = ""
    made_at: float = 0.0
    expires_at: float = 0.0  # 0: no limit but its holder's life
    holder: int = 0  # pid; 0: nobody
    program: str = ""


class Tickets:
    def __init__(self, vault: Vault, audit: Audit, clock: Clock) -> None:
        self.ended: list[Callable[[Held], None]] = []
        self._vault = vault
        self._audit = audit
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await anyio.sleep_forever()

    async def start(self) -> None:
        """After the vault was opened or unlocked."""

    def lock(self) -> None: ...

    async def make(self, asked: requests.Ticket, account: str, caller: Caller) -> tuple[Held, Secret]:
        raise NotImplementedError

    def check(self, ticket: Secret, verb: Verb) -> Held:
        raise NotImplementedError

    def shown(self) -> tuple[replies.TicketShown, ...]:
        return ()

    async def revoke(self, word: str) -> int:
        raise NotImplementedError

    def opened(self, id_: str, port: int) -> None:
        """The gateway listens on `port` for this ticket."""
