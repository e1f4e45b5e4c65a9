"""The relay's HTTP face, for SDKs and Claude Code: a Unix socket always, loopback ports while something needs them."""

from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from aixtivd.access.audit import Audit
from aixtivd.access.tickets import Tickets
from aixtivd.config import Config
from aixtivd.relay.relay import Relay


class Gateway:
    def __init__(self, relay: Relay, tickets: Tickets, audit: Audit, config: Config) -> None:
        self.path: Path | None = None  # of the Unix socket; None: it is not open
        self.port = 0  # the fixed one; 0: none
        self._relay = relay
        self._tickets = tickets
        self._audit = audit
        self._config = config

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await anyio.sleep_forever()

    async def open_port(self, ticket: str) -> int:
        """A loopback port for the ticket with this id; it closes with it."""
        raise NotImplementedError

    async def reconfigure(self, config: Config) -> None:
        self._config = config

    async def finish(self) -> None:
        """Takes no new call; open ones are let finish."""
