"""A vault whose thread is kept busy, so that what is asked meanwhile queues up in its order."""

import asyncio
import threading
from typing import Self

import anyio
import anyio.to_thread

from aixtivd.vault.vault import Vault

PATIENCE = 20.0  # seconds


class Busy:
    """Keeps the store's thread until the test lets it go."""

    def __init__(self, vault: Vault) -> None:
        self._store = vault._opened.store  # type: ignore[union-attr]  # it is open
        self._reached = threading.Event()
        self._open = threading.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._store.transact(self._wait))
        assert await anyio.to_thread.run_sync(self._reached.wait, PATIENCE)
        return self

    def _wait(self, _: object) -> None:
        self._reached.set()
        assert self._open.wait(PATIENCE)

    async def until_queued(self, count: int) -> None:
        """Until so many pieces of work wait for the thread."""
        with anyio.fail_after(PATIENCE):
            while self._store._line._tx.qsize() < count:  # noqa: ASYNC110  # a queue announces nothing
                await anyio.sleep(0.002)

    def let_go(self) -> None:
        self._open.set()

    async def __aexit__(self, *_: object) -> None:
        self.let_go()
        await self._task
