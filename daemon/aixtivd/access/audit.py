"""The audit log: what happened to credentials, on whose behalf, append-only and chained (D14)."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from aixtiv_protocol import replies, requests
from aixtiv_protocol.replies import What
from aixtivd.access.caller import Caller
from aixtivd.clock import Clock
from aixtivd.vault.vault import Vault


class Audit:
    def __init__(self, folder: Path, vault: Vault, clock: Clock) -> None:
        self._folder = folder
        self._vault = vault
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await anyio.sleep_forever()

    def note(
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
        """Never waits, never raises."""

    async def flush(self) -> None: ...

    async def unlocked(self) -> None: ...

    async def records(self, asked: requests.Audit) -> AsyncIterator[replies.AuditRecord]:
        raise NotImplementedError
        yield

    async def verify(self) -> replies.AuditVerdict:
        raise NotImplementedError

    async def usage(self, asked: requests.Usage) -> replies.UsageReport:
        raise NotImplementedError
