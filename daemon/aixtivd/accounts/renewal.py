"""One new token of an account: a refresh token is spent for it (`Settling`), or its source is asked once more."""

import anyio

from aixtivd.accounts import states
from aixtivd.accounts.book import Entry
from aixtivd.accounts.hosts import Host, Hosts
from aixtivd.accounts.settling import OUTCOMES, Settling, of_one_sign_in
from aixtivd.accounts.sources import Sources
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError


class Renewal:
    def __init__(self, settling: Settling, sources: Sources, hosts: Hosts, clock: Clock) -> None:
        self._settling = settling
        self._sources = sources
        self._hosts = hosts
        self._clock = clock
        self._asks: set[anyio.CancelScope] = set()
        self._resting = False

    async def renew(self, entry: Entry, host: Host) -> None:
        """Every outcome is settled in the entry. Raises StoreFailed, having spent nothing, if the store is full."""
        if entry.grant.source is not None:
            await self._ask(entry)
            return
        async with host.slots:
            if not self._resting:  # what was lined up for a slot has begun nothing
                await self._settling.refresh(entry, host)

    def resume(self) -> None:
        self._resting = False

    def rest(self) -> None:
        """Ends what waits for a source or a slot: nothing is spent by that, so that nothing is lost."""
        self._resting = True
        for scope in self._asks:
            scope.cancel()

    async def _ask(self, entry: Entry) -> None:
        """No intent is written, and no failure puts the grant aside: it can simply be asked for again."""
        grant = entry.grant
        with anyio.CancelScope() as scope:
            self._asks.add(scope)
            try:
                tokens = await self._sources.ask(grant)
            except AixtivError as failure:
                self._settling.counted[failure.code if failure.code in OUTCOMES else "refused"] += 1
                if of_one_sign_in(entry.grant, grant):
                    self._failed(entry, failure)
                return
            finally:
                self._asks.discard(scope)
        if scope.cancelled_caught:
            return
        self._settling.counted["refreshed"] += 1
        with anyio.CancelScope(shield=True):
            await self._settling.granted(entry, grant, tokens)

    def _failed(self, entry: Entry, failure: AixtivError) -> None:
        name = entry.grant.name
        entry.failures += 1
        wait = states.wait_after(entry.failures, failure.retry_after, self._hosts.chance())
        entry.not_before = self._clock.steady() + wait
        hint = failure.hint or f"aixtiv refresh {name}, or aixtiv login {name}"
        sentence = f"{name}: {failure.sentence}"
        known = entry.problem is not None and entry.problem.sentence == sentence  # told once, however often it recurs
        self._settling.problem(entry, type(failure), sentence, hint, tell=not known)
