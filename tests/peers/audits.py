"""Audit logs for tests: kept by a real vault, and looked at and altered from outside."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aixtiv_protocol import requests
from aixtiv_protocol.replies import AuditRecord
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock
from peers.vaults import opened

CALLER = Caller(
    uid=1000, pid=4711, program="/usr/bin/claude", unit="claude.service", agent="agent-7", ticket="ab12cd34"
)

SMALL: Final = 600  # bytes of a file of the log: three records fill it


class Desk(Audit):
    """An audit that is flushed when a test says so."""

    def __init__(self, folder: Path, vault: Vault, clock: FakeClock, limit: int = 0, files: int = 100) -> None:
        """`limit`: bytes of a file, before the next begins; 0: as the config says."""
        super().__init__(folder, vault, clock)
        self.vault = vault
        self.clock = clock
        self.path = folder / "audit.log"
        if limit:
            self._book.limit, self._book.most = limit, files

    async def happened(self, *accounts: str) -> None:
        for account in accounts:
            self.note("token", CALLER, account=account)
        await self.flush()

    async def lock(self) -> None:
        """As `ipc.opening` does it."""
        with self.locking():
            await self.flush()
            await self.vault.lock()

    async def all(self, **asked: Any) -> list[AuditRecord]:
        return [record async for record in self.records(requests.Audit(**{"limit": 0} | asked))]

    async def told(self) -> list[str]:
        """What the log holds, in short: the account of each record, or what the log says of itself."""
        return [record.account or record.detail for record in await self.all()]


@asynccontextmanager
async def desk(folder: Path, clock: FakeClock | None = None, limit: int = 0, files: int = 100) -> AsyncIterator[Desk]:
    """A second one in the same folder is a restart. What was noted and not flushed is lost, as at a `kill -9`."""
    clock = clock or FakeClock()
    async with opened(folder, clock=clock) as vault:
        yield Desk(folder, vault, clock, limit, files)


async def filled(here: Desk, count: int, start: int = 0) -> None:
    """Each in a piece of its own, so that files begin where they are full."""
    for number in range(start, start + count):
        await here.happened(f"a{number}")


def older(folder: Path) -> list[Path]:
    """The files before the one that is written."""
    return sorted(folder.glob("audit.log.from-*"))


def lines(folder: Path) -> list[bytes]:
    return (folder / "audit.log").read_bytes().splitlines(keepends=True)


def rewrite(folder: Path, lines: list[bytes]) -> None:
    (folder / "audit.log").write_bytes(b"".join(lines))


def shown(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found
