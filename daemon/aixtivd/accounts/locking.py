"""What is finished and sealed before the vault is locked, its key is changed, or the daemon ends."""

import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aixtiv_protocol import requests
from aixtivd import log
from aixtivd.accounts.book import Book, listed
from aixtivd.accounts.events import Events
from aixtivd.accounts.login import SignIns
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.work import Work
from aixtivd.errors import Locked, StoreFailed
from aixtivd.vault.vault import Vault

T = TypeVar("T")


class Locking:
    """`load`: reads the accounts of a vault that was unlocked."""

    def __init__(
        self,
        book: Book,
        vault: Vault,
        settling: Settling,
        refresher: Refresher,
        sign_ins: SignIns,
        work: Work,
        events: Events,
        load: Callable[[], Awaitable[None]],
    ) -> None:
        self._book = book
        self._vault = vault
        self._settling = settling
        self._refresher = refresher
        self._sign_ins = sign_ins
        self._work = work
        self._events = events
        self._load = load
        self.closed: list[Callable[[], Awaitable[None]]] = []  # awaited as soon as no account is there any more
        self._turning = anyio.Lock()  # one lock or unlock at a time

    async def lock(self, why: str = "it was locked on request") -> None:
        """Lets open refreshes and sign-ins finish, then forgets every key and token. A hang-up does not cut it."""
        with anyio.CancelScope(shield=True):  # not as a work of its own: it waits for all work that is open
            await self._lock(why)

    async def unlock(self, asked: requests.Unlock) -> None:
        """A hang-up does not cut it. Where it fails, the vault is locked as before."""
        with anyio.CancelScope(shield=True):
            async with self._turning:
                if not self._book.closed:
                    return
                await self._vault.unlock(asked.passphrase)
                try:
                    await self._load()
                except BaseException:
                    await self._shut("unlocking it failed half-way")
                    raise
                self._events.tell("unlocked")

    async def at_rest(self, job: Callable[[], Awaitable[T]]) -> T:
        """Runs `job` while no refresh is under way; what falls due meanwhile begins afterwards."""
        async with self._turning:
            if self._book.closed:
                raise Locked
            try:
                await self._refresher.rest()
                await self._settling.save_the_unsaved()
                return await job()
            finally:
                self._refresher.resume()

    def due(self) -> bool:
        """Whether there is anything that only a running daemon can do: a refresh, a sign-in, tokens not stored yet."""
        return self._refresher.busy or self._sign_ins.any or self._work.busy or bool(self._settling.unsaved)

    def dismiss(self) -> None:
        """Once nobody comes in any more: whoever waits for a refresh is told that there will be none."""
        self._refresher.dismiss()

    async def drain(self) -> None:
        """Before `stop`: no new refresh begins, open ones finish and are sealed."""
        self._sign_ins.abandon("the daemon is stopping")
        await self._refresher.rest(for_good=True)
        await self._work.idle()
        await self._settling.save_the_unsaved()
        for name in self._settling.only_in_memory:
            log.error("lost", account=name, detail="neither store nor spill slot took its newest tokens")

    async def _lock(self, why: str) -> None:
        """What a provider was asked, and what a person has begun, is finished and sealed first."""
        async with self._turning:
            if self._book.closed and self._vault.locked:
                return
            try:
                await self._refresher.rest()
                await self._seal_all()
                self._sign_ins.abandon("the vault has been locked")  # not before: it may be refused
                await self._seal_all()  # of those whose person came just now
            except BaseException:
                self._refresher.resume()
                raise
            await self._shut(why)
            self._events.tell("locked")

    async def _seal_all(self) -> None:
        await self._work.idle()
        await self._settling.save_the_unsaved()
        if names := self._settling.only_in_memory:
            raise StoreFailed(
                f"the newest tokens of {listed(names)} are only in memory: locking the vault would lose them",
                hint=f"df -h {self._vault.path.parent}",
            )

    async def _shut(self, why: str) -> None:
        self._book.close()
        self._refresher.forget()
        try:
            for after in self.closed:
                await after()
        finally:
            gc.unfreeze()  # who collects afterwards finds all of it
            await self._vault.lock(why)
