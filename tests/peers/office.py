"""Tickets for tests, over a real vault, and who heard of their end."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol.requests import Ticket as Asked
from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.ticket import Held
from aixtivd.access.tickets import Tickets
from aixtivd.errors import AixtivError, Denied, Locked
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock
from peers.vaults import opened


def me(pid: int = 0) -> Caller:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Caller(uid=os.geteuid(), pid=pid or os.getpid(), program="/usr/bin/tool", since=now)


class Office:
    """Tickets that run, and who heard of their end."""

    def __init__(self, vault: Vault, folder: Path, clock: FakeClock) -> None:
        self.tickets = Tickets(vault, Audit(folder, vault, clock), clock)
        self.vault = vault
        self.clock = clock
        self.ended: list[str] = []
        self.heard = anyio.Event()
        self.tickets.ended.append(self._hear)

    def _hear(self, held: Held) -> None:
        self.ended.append(held.id)
        self.heard.set()

    async def make(self, account: str = "anthropic", *, pid: int = 0, **asked: object) -> tuple[Held, Secret]:
        return await self.tickets.make(Asked(account=account, **asked), account, me(pid))  # type: ignore[arg-type]  # a test's own words

    def refusal(self, ticket: Secret, verb: str = "relay") -> str:
        with pytest.raises(AixtivError) as failure:
            self.tickets.check(ticket, verb)  # type: ignore[arg-type]  # a test's own words
        assert isinstance(failure.value, Denied | Locked)
        return failure.value.sentence


@asynccontextmanager
async def office(folder: Path, clock: FakeClock | None = None, *, started: bool = True) -> AsyncIterator[Office]:
    clock = clock or FakeClock()
    async with opened(folder, clock=clock) as vault, anyio.create_task_group() as tasks:
        made = Office(vault, folder, clock)
        await tasks.start(made.tickets.run)
        if started:
            await made.tickets.start()
        yield made
        tasks.cancel_scope.cancel()
