"""The vault opened and locked, and whatever has to follow that: the one place where it does."""

import anyio

from aixtiv_protocol import requests
from aixtivd.access.audit import Audit
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts


class Opening:
    def __init__(self, accounts: Accounts, tickets: Tickets, audit: Audit) -> None:
        self._accounts = accounts
        self._tickets = tickets
        self._audit = audit
        self._turning = anyio.Lock()  # what follows an unlock must not run behind the next lock

    async def unlock(self, asked: requests.Unlock) -> None:
        """Goes on if the caller hangs up, and then to its end: an open vault without its tickets would be half open."""
        with anyio.CancelScope(shield=True):
            async with self._turning:
                await self._accounts.unlock(asked)
                await self._tickets.start()
                await self._audit.unlocked()

    async def lock(self) -> None:
        """Tickets stay: their hashes are no secrets, and what they open is locked itself."""
        with anyio.CancelScope(shield=True):
            async with self._turning:
                await self._audit.flush(locking=True)  # while there is a key to seal it with
                await self._accounts.lock()
