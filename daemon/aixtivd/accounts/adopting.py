"""A refresh token that another program had: stored first, then refreshed like any other; a bad one leaves nothing."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import grant as grants
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.changes import another, blank, grounded
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Bound, Grant
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.sources import left_behind
from aixtivd.accounts.terms import Terms
from aixtivd.accounts.typed import login_command
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, BadRequest, Locked, NoProvider, SignInFailed, Unreachable
from aixtivd.oauth import identity as identities
from aixtivd.oauth.web import Web
from aixtivd.vault.journal import Stale
from aixtivd.vault.vault import Vault

Turn = Callable[[str], AbstractAsyncContextManager[object]]
"""One change of an account at a time."""

_PATIENCE: Final = 100.0  # seconds for the proof: less than a command waits
_MOVED: Final = "whoever had this refresh token before has it no more: the provider gave a new one for it"


class _Trial(Struct, frozen=True):
    """One refresh token, and the account that is to become of it."""

    entry: Entry
    login: requests.Login
    token: Secret
    old: Grant | None  # what was there before; None: nothing
    known: bool = False  # that token was this account's already


class Adopting:
    def __init__(  # noqa: PLR0913, PLR0917  # the parts that a sign-in and a refresh are made of
        self,
        book: Book,
        vault: Vault,
        web: Web,
        terms: Terms,
        settling: Settling,
        refresher: Refresher,
        turn: Turn,
        work: Work,
        events: Events,
        clock: Clock,
    ) -> None:
        self._book = book
        self._vault = vault
        self._web = web
        self._terms = terms
        self._settling = settling
        self._refresher = refresher
        self._turn = turn
        self._work = work
        self._events = events
        self._clock = clock

    async def adopt(self, name: str, asked: requests.Adopt) -> replies.SignedIn:
        """Goes on to its end whoever hangs up. Raises AixtivError, whose sentence says what has changed all the same.

        It is no work that a lock waits for, since a lock is what its refresh waits for.
        """
        return await self._work.outlive(self._adopt, name, asked)

    async def _adopt(self, name: str, asked: requests.Adopt) -> replies.SignedIn:
        await self._vault.journal.probe()
        login = _as_login(name, asked)
        terms = await self._terms.of(name, login)
        if terms.client is None or terms.source is not None:
            raise BadRequest(f"{name} gets its tokens without a person, and has no refresh token")
        if not terms.client.client_id:  # one that registers itself does so when a person signs in
            raise NoProvider(
                f"a refresh token is good for the client that it was given to, and {name} does not say which that is",
                hint=f"aixtiv login {name}",
            )
        trial = await self._work.run(self._store, terms, login, asked)
        await self._proof(trial.entry)
        identity, doubt = await self._whose(trial.entry)
        return await self._work.run(self._conclude, trial, identity, doubt)

    async def _store(self, terms: Bound, login: requests.Login, asked: requests.Adopt) -> _Trial:
        """Durable, and its refresh under way."""
        name, token = login.account, asked.refresh_token
        async with self._turn(name):
            if self._book.closed:
                raise Locked
            entry = self._book.find(name)
            if entry and entry.grant.refresh_token == token and entry.grant.client == terms.client:
                self._refresher.force(entry)  # it was brought before: this is its next chance
                return _Trial(entry, login, token, entry.grant, known=True)
            _check(entry, terms, login)
            async with grounded([entry] if entry else [], self._book, self._refresher):
                old = entry.grant if entry else None
                new = _adopted(old or blank(name, terms.provider), terms, asked, self._clock.wall())
                entry = entry or Entry(new, self._clock)
                await self._settling.adopt_all([(entry, new)])  # no spill slot: whoever brought it still has it
            self._serve(entry)
            self._refresher.force(entry)
            return _Trial(entry, login, token, old, known=False)

    async def _proof(self, entry: Entry) -> None:
        """Until its refresh has ended, however it did."""
        deadline = self._clock.steady() + _PATIENCE
        while entry in self._book and (entry.flying or _untried(entry)):
            await self._refresher.settled(entry, deadline)

    async def _whose(self, entry: Entry) -> tuple["identities.Identity | None", str]:
        """Who signed in there, and why its ID token does not count."""
        client, token, id_token = entry.grant.client, entry.grant.access_token, entry.grant.id_token
        if entry.problem or client is None or token is None:
            return None, ""
        found, doubt = None, ""
        if id_token is not None:
            try:
                found = await identities.check_sign_in(self._web, client, id_token, None, self._clock)
            except (SignInFailed, Unreachable) as error:
                doubt = error.sentence
        if not doubt and not (found and found.who):
            found = await identities.ask_userinfo(self._web, client, token, found.subject if found else "") or found
        return found, doubt

    async def _conclude(self, trial: _Trial, identity: "identities.Identity | None", doubt: str) -> replies.SignedIn:
        entry, name = trial.entry, trial.login.account
        async with self._turn(name):
            if self._book.closed:
                raise Locked
            if entry not in self._book:
                raise SignInFailed(f"{name} was signed out while its refresh token was tried")
            async with grounded([entry], self._book, self._refresher):
                if entry.problem or entry.grant.access_token is None:
                    raise await self._failed(trial)
                if identity is not None:
                    await self._name(entry, identity)
            self._refresher.lives(entry)
            return self._done(trial, doubt)

    async def _failed(self, trial: _Trial) -> AixtivError:
        """What it comes to: nothing was spent and nothing of it stays, or something was, and all does."""
        entry, old, name = trial.entry, trial.old, trial.login.account
        problem = entry.over(self._clock)
        if trial.known:
            return problem
        if await self._spent(trial):
            said = f"{problem.sentence}; its refresh token may be spent by that, so {name} stays and is tried again"
            return type(problem)(said, hint=problem.hint)
        kind = SignInFailed if entry.grant.quarantined else type(problem)
        if old is None:
            await self._vault.journal.delete(entry.grant.id)
            self._book.remove(entry)
        else:
            again = msgspec.structs.replace(old, generation=entry.grant.generation + 1)
            await self._settling.adopt_all([(entry, again)])
            self._serve(entry)
        hint = "aixtiv import" if kind is Unreachable else login_command(trial.login, name)
        stays = f"{name} is as before" if old else "nothing of it was kept"
        return kind(f"{problem.sentence}; {stays}", hint=hint)

    async def _spent(self, trial: _Trial) -> bool:
        """Whether the provider may have taken it: an answer was lost, or brought another."""
        grant = trial.entry.grant
        if grant.refresh_token != trial.token or trial.entry.interrupted:
            return True
        return any(intent.id == grant.id for intent in await self._vault.journal.intents())

    async def _name(self, entry: Entry, identity: "identities.Identity") -> None:
        old = entry.grant
        subject, who = identity.subject, identity.who or old.who
        if (subject, who) == (old.subject, old.who):
            return
        new = msgspec.structs.replace(old, generation=old.generation + 1, subject=subject, who=who)
        try:
            await self._settling.adopt(entry, old, new)
        except Stale:
            return  # an API key was stored meanwhile; it works without a name

    def _done(self, trial: _Trial, doubt: str) -> replies.SignedIn:
        grant, old = trial.entry.grant, trial.old
        dropped = old is not None and old.api_key is not None and grant.api_key is None
        notes = (
            f"the API key that {grant.name} had was for another place, and is forgotten" if dropped else "",
            _MOVED if grant.rotates else "",
            doubt,
            left_behind(grant, self._book),
        )
        account = trial.entry.described(self._clock, default=grant.name == self._book.default)
        if not trial.known:
            detail = "with a refresh token that another program had"
            self._events.tell("signed-in", account=grant.name, detail=detail, expires_at=account.expires_at)
        return replies.SignedIn(account=account, note="; ".join(filter(None, notes)))

    def _serve(self, entry: Entry) -> None:
        self._book.add(entry)
        entry.forgive()
        self._refresher.plan(entry)
        entry.announce()


def _as_login(name: str, asked: requests.Adopt) -> requests.Login:
    """The sign-in whose outcome it is: the same terms, and what a person can type instead."""
    return requests.Login(
        account=name, provider=asked.provider, settings=asked.settings, scopes=asked.scopes, replace=asked.replace
    )


def _check(entry: Entry | None, terms: Bound, login: requests.Login) -> None:
    """A sign-in that is there is not given up for a token of which nobody knows whose it is."""
    if entry is None or login.replace:
        return
    old = entry.grant
    if old.kind == "oauth":
        whose = f" as {old.who}" if old.who else ""
        raise SignInFailed(f"{old.name} is signed in{whose} already, and stays so", hint="aixtiv accounts")
    if other := another(old, terms, login, known=False):
        raise other


def _adopted(old: Grant, terms: Bound, asked: requests.Adopt, now: float) -> Grant:
    """Not yet a token: as one that has just expired, so that it is due at once, also if we die now."""
    new = grants.bound(old, terms, now)
    return msgspec.structs.replace(
        new,
        generation=old.generation + 1,
        refresh_token=asked.refresh_token,
        scopes=asked.scopes,
        lifetime=float(terms.client.quirks.default_lifetime if terms.client else 0) or 1.0,
        expires_at=now,
    )


def _untried(entry: Entry) -> bool:
    return entry.problem is None and entry.grant.access_token is None
