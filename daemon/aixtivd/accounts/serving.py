"""Handing out tokens: at once from memory where one is good enough, else after the one refresh in flight (D8)."""

import shlex

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import Mode
from aixtivd.accounts.book import Book, Entry, Said
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.states import Freshness
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Refused, ScopeMissing, Unreachable, WaitedTooLong


class Serving:
    def __init__(self, book: Book, refresher: Refresher, clock: Clock) -> None:
        self._book = book
        self._refresher = refresher
        self._clock = clock
        self._steady = clock.steady

    def cached(self, asked: requests.Token) -> replies.AccessToken | None:
        """The hot path, without waiting: a token that is in memory and good enough, else None (then `token` says)."""
        entry = self._book.find(asked.account)
        if entry is None or (asked.scopes and not set(asked.scopes) <= set(entry.grant.scopes)):
            return None
        freshness = entry.freshness(self._clock, asked.min_ttl)
        if freshness is Freshness.WAIT:
            return None
        if freshness is Freshness.SERVE_AND_REFRESH:
            self._refresher.hasten(entry)
        return entry.reply

    def said(self, asked: requests.Token, mode: Mode, wall: float) -> Said | None:
        """As `cached`, encoded; None also where there is anything to do beside it. `wall`: what the clock says."""
        entry = self._book.find(asked.account)
        if entry is None or (asked.scopes and not set(asked.scopes) <= set(entry.grant.scopes)):
            return None
        return entry.said(asked, mode, wall, self._steady())

    async def token(self, asked: requests.Token) -> replies.AccessToken:
        entry = self._book.named(asked.account)
        _check_wishes(entry.grant, asked)
        deadline = self._clock.steady() + asked.wait
        before = entry.grant
        while (reply := self.cached(asked)) is None:
            if self._book.find(asked.account) is not entry:
                entry = self._book.named(asked.account)  # says why it is gone
            if entry.grant is not before and entry.grant.refreshed_at > before.refreshed_at:
                raise _too_short(entry, asked.min_ttl, self._clock)
            rest = entry.left(self._clock) > asked.min_ttl
            try:
                await self._newer(entry, deadline)
            except AixtivError:
                if rest and entry in self._book:
                    return entry.reply  # an unexpired token is served whatever happened to its refresh (D7)
                raise
        return reply

    async def another(self, entry: Entry, deadline: float) -> None:
        """Until the account is of another generation, whatever the age of its token: one refresh, however many ask.

        Raises why it will not be before `deadline` (steady).
        """
        before = entry.grant.generation
        while entry.grant.generation == before and entry in self._book:
            await self._newer(entry, deadline)

    async def _newer(self, entry: Entry, deadline: float) -> None:
        """Until a refresh of this account has settled. Raises why there is or will be none before `deadline`."""
        if entry.leaving:  # signed out, or changed: what comes of it is looked at then
            await self._refresher.settled(entry, deadline)
            return
        if not entry.renewable:
            raise entry.over(self._clock)
        if not entry.flying:
            self._refresher.nudge(entry)
        if not entry.flying:
            next_try = self._refresher.next_try(entry)
            if next_try > deadline:
                raise self._why(entry)
            if (wait := next_try - self._clock.steady()) > 0:
                await self._clock.pause(entry.changed, wait)  # the plan may be for later: then this caller begins it
                return
        try:
            await self._refresher.settled(entry, deadline)
        except WaitedTooLong:
            if entry.problem and not entry.flying:
                raise self._why(entry) from None
            raise

    def _why(self, entry: Entry) -> AixtivError:
        if entry.problem:
            return entry.problem.error(self._clock.steady())
        wait = self._refresher.next_try(entry) - self._clock.steady()
        return Unreachable(
            f"the provider of {entry.grant.name} has just been asked; aixtiv leaves it alone for a moment",
            hint=f"aixtiv refresh {entry.grant.name}",
            retry_after=max(0.0, wait),
        )


def _check_wishes(grant: Grant, asked: requests.Token) -> None:
    missing = sorted(set(asked.scopes) - set(grant.scopes))
    if missing:
        more = " ".join(f"--scope {shlex.quote(scope)}" for scope in (*grant.scopes, *missing))
        raise ScopeMissing(
            f"the grant of {grant.name} lacks the scope {' '.join(missing)}", hint=f"aixtiv login {grant.name} {more}"
        )
    if grant.lifetime and asked.min_ttl > grant.lifetime:
        raise Refused(
            f"tokens of {grant.name} live {grant.lifetime:.0f} seconds; none lasts {asked.min_ttl} more",
            hint=f"aixtiv token {grant.name} --min-ttl {int(grant.lifetime / 2)}",
        )


def _too_short(entry: Entry, min_ttl: int, clock: Clock) -> AixtivError:
    name, left = entry.grant.name, max(0.0, entry.left(clock))
    return Refused(
        f"the newest token of {name} has {left:.0f} seconds left, and {min_ttl} were wanted",
        hint=f"aixtiv token {name} --min-ttl {int(left / 2)}",
    )
