"""Who is told of accounts in trouble: a desktop and hooks that remember, beside the accounts of `peers.house`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from aixtiv_protocol import replies
from aixtivd.accounts.grant import Bound, Grant, signed_in
from aixtivd.accounts.notices import GATHER, STARTING, Notices
from aixtivd.config import Config
from aixtivd.host.notices import NotShown
from aixtivd.host.program import Failed
from aixtivd.oauth.client import Client
from peers.house import House, granted

STEP = 3600.0  # seconds that pass at once


class Ears:
    def __init__(self, house: House) -> None:
        self.titles: list[str] = []  # of notifications
        self.bodies: list[str] = []
        self.stays: list[bool] = []
        self.hooks: list[tuple[str, Any]] = []  # the command's first word, and what it was told
        self.timeouts: set[float] = set()
        self.deaf = ""  # why no notification is shown
        self.broken = ""  # how hooks end
        self.defect: Exception | None = None  # what a hook's end raises that nobody foresaw
        self.busy = 0
        self.busiest = 0
        self.notices: Notices
        self._house = house

    async def notify(self, title: str, body: str, *, stays: bool) -> None:
        await anyio.lowlevel.checkpoint()
        if self.deaf:
            raise NotShown(self.deaf)
        self.titles.append(title)
        self.bodies.append(body)
        self.stays.append(stays)

    async def tell(self, command: tuple[str, ...], said: bytes, seconds: float) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        self.busy -= 1
        self.timeouts.add(seconds)
        if self.defect:
            raise self.defect
        if self.broken:
            raise Failed(self.broken)
        self.hooks.append((command[0], json.loads(said)))

    async def passes(self, seconds: float) -> None:
        """Time, in which everything happens that falls due; and what happened then is gathered, and told."""
        await self._house.settle()
        left = seconds
        while left > 0:
            self._house.clock.advance(min(STEP, left))
            left -= STEP
            await self._house.settle()
        self._house.clock.advance(GATHER)
        await self._house.settle()

    async def begun(self) -> None:
        """Until the daemon has settled after its start."""
        await self.passes(STARTING)


@asynccontextmanager
async def listening(house: House, **config: Any) -> AsyncIterator[Ears]:
    """Notices of this house's accounts, as the app runs them."""
    ears = Ears(house)
    accounts = house.accounts
    parts = (accounts._book, accounts._sign_ins, accounts._events, house.vault)
    ears.notices = Notices(*parts, Config(**config), house.clock, ears.notify, ears.tell)
    async with anyio.create_task_group() as tasks:
        await tasks.start(ears.notices.run)
        await house.settle()
        yield ears
        tasks.cancel_scope.cancel()


async def heard(house: House, into: list[replies.Event]) -> None:
    """What watchers are told, until it is cancelled."""
    async for event in house.accounts.watch():
        into.append(event)  # noqa: PERF401  # it never ends


async def without_renewal(house: House, name: str, *, lifetime: int = 3600) -> Grant:
    """An account whose provider gave a token and nothing to renew it with."""
    client = Client(provider=name, client_id="cid", token_endpoint="https://one.example/token")
    entry = house.accounts._book.find(name)
    blank = Grant(id=name.encode().ljust(16, b"-"), name=name, provider=name, generation=0)
    old = entry.grant if entry else blank
    tokens = granted(0, expires_in=lifetime, rotate=False).tokens
    new = signed_in(old, Bound(provider=name, client=client), tokens, house.clock.wall())
    await house.accounts._changes._adopt(entry, old, new)
    house.accounts._events.tell("signed-in", account=name)
    return new
