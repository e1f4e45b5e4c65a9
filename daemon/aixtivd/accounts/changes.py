"""What a person changes about an account: signed in, signed out, an API key stored or removed."""

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import PurePath
from typing import Final
from urllib.parse import urlsplit

import anyio
import msgspec

from aixtiv_protocol import replies
from aixtiv_protocol.requests import Command, Login
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.accounts import grant as grants
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Bound, Grant, endpoint_for, kind_of, moved
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.signin import SignIn
from aixtivd.accounts.sources import check_source, left_behind
from aixtivd.accounts.typed import login_command
from aixtivd.clock import Clock
from aixtivd.errors import BadRequest, Locked, NoAccount, SignInFailed
from aixtivd.oauth import federation, outcomes, resource
from aixtivd.oauth import identity as identities
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web
from aixtivd.vault.journal import Stale
from aixtivd.vault.vault import Vault

_KEY_GONE: Final = "its API key is forgotten here, and stays good at the provider"

_GIVE_BACK: Final = 5.0  # seconds for revoking what a refused sign-in was granted: its person waits for the page


class Changes:
    """Each method is durable when it returns. They run where no caller's hang-up can cut them (`Work`)."""

    def __init__(
        self,
        book: Book,
        vault: Vault,
        endpoint: Endpoint,
        web: Web,
        settling: Settling,
        refresher: Refresher,
        events: Events,
        clock: Clock,
    ) -> None:
        self._book = book
        self._vault = vault
        self._endpoint = endpoint
        self._web = web
        self._settling = settling
        self._refresher = refresher
        self._events = events
        self._clock = clock
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)  # one change of an account at a time

    def turn(self, name: str) -> anyio.Lock:
        """To be held while an account is changed."""
        return self._turns[name]

    async def sign_in(self, sign_in: SignIn, tokens: outcomes.Tokens) -> replies.SignedIn:
        """Checks who signed in, and makes the grant durable before it is served (D10)."""
        name = sign_in.account
        subject, who = await self._who(sign_in, tokens)
        async with self._turns[name]:
            if self._book.closed:
                raise Locked
            entry = self._book.find(name)
            terms = msgspec.structs.replace(_as_now(sign_in.terms, entry, sign_in.asked), subject=subject, who=who)
            if entry and (other := another(entry.grant, terms, sign_in.asked, known=True)):
                await self._give_back(sign_in.client, tokens)
                raise other
            done = await self._become(name, terms, tokens)
        self._events.tell("signed-in", account=name, detail=done.note, expires_at=done.account.expires_at)
        return done

    async def turn_down(self, sign_in: SignIn, tokens: outcomes.Tokens, *, beside: bool) -> None:
        """Revokes what came when its sign-in was over. `beside`: another way may have brought a grant meanwhile.

        Never at the cost of a grant that somebody has. RFC 7009 §2.1 ends with a refresh token "the same authorization
        grant", which many servers (Keycloak, Auth0, oidc-provider) take for all that one person granted to a client:
        the winner's, too. So where we have, or may have, another grant from that client it is the access token alone
        that is revoked; the refresh token, which was never written down, is then in nobody's hands.
        """
        client = sign_in.client
        beside = beside or self._book.closed or any(_same_client(entry.grant.client, client) for entry in self._book)
        log.warning("late-sign-in", account=sign_in.account)
        if beside and client.quirks.revokes_all:
            return
        with anyio.move_on_after(_GIVE_BACK):
            await self._revoke(client, None if beside else tokens.refresh_token, tokens.access_token)

    async def bind(
        self, name: str, terms: Bound, tokens: outcomes.Tokens, asked: Login, seen: Grant | None
    ) -> replies.SignedIn:
        """An account whose source has given its first token. It is durable before it is served, as any sign-in.

        `seen`: what was there before it was asked. What came since was not meant to be replaced.
        """
        async with self._turns[name]:
            if self._book.closed:
                raise Locked
            entry = self._book.find(name)
            if seen:
                _check_seen(seen, entry, terms, asked)
            else:
                asked = msgspec.structs.replace(asked, replace=False)
            terms = _as_now(terms, entry, asked)
            if entry and (other := another(entry.grant, terms, asked, known=False)):
                raise other
            if terms.source is not None:
                check_source(terms.source, name, self._book)
            done = await self._become(name, terms, tokens)
        said = f"by {done.account.kind}{done.note and '; '}{done.note}"
        self._events.tell("signed-in", account=name, detail=said, expires_at=done.account.expires_at)
        return done

    async def log_out(self, name: str) -> replies.LoggedOut:
        """Lets the open refresh finish, so that it is the newest pair which is revoked."""
        async with self._turns[name]:
            return await self._forget(self._book.named(name))

    async def keep_key(self, name: str, provider: str, key: Secret, endpoint: str, usual: str) -> replies.Account:
        async with self._turns[name]:
            entry = self._book.find(name)
            if entry:
                _check_endpoint(entry.grant, endpoint, usual)
                await landed(entry)
            old = entry.grant if entry else blank(name, provider)
            account = await self._adopt(entry, old, grants.with_key(old, key, endpoint))
        self._events.tell("signed-in", audited=False, account=name, detail="an API key was stored")
        return account

    async def drop_key(self, name: str) -> replies.Account | replies.LoggedOut:
        """Of what is kept of the account, too: no earlier generation brings a key back that was taken away."""
        async with self._turns[name]:
            entry = self._book.named(name)
            if entry.grant.api_key is None:
                raise NoAccount(f"{name} has no API key", hint=f"aixtiv api-key set {name}")
            if entry.grant.kind == "api-key":
                return await self._forget(entry)
            await landed(entry)
            await self._settling.relabel([entry], _without_key, {}, wipe=True)
            account = self._served(entry)
        self._events.tell("logged-out", account=name, detail="the API key was removed")
        return account

    async def _become(self, name: str, terms: Bound, tokens: outcomes.Tokens) -> replies.SignedIn:
        for _ in range(3):  # a refresh of the old grant may commit in between
            entry = self._book.find(name)
            old = entry.grant if entry else blank(name, terms.provider)
            new = grants.signed_in(old, terms, tokens, self._clock.wall())
            try:
                account = await self._adopt(entry, old, new)
            except Stale:
                continue
            dropped = old.api_key is not None and new.api_key is None
            gone = f"the API key that {name} had was for another place, and is forgotten" if dropped else ""
            note = "; ".join(filter(None, (gone, _moved_on(old, new), left_behind(new, self._book))))
            return replies.SignedIn(account=account, note=note)
        raise SignInFailed(f"{name} kept changing while it was signed in", hint=f"aixtiv login {name}")

    async def _forget(self, entry: Entry) -> replies.LoggedOut:
        entry.leaving = True
        try:
            await landed(entry)
            await self._vault.journal.probe()  # a token that is revoked here must not go on being served
            grant = entry.grant
            note = await self._revoke(grant.client, grant.refresh_token, grant.access_token)
            if isinstance(grant.source, Command):
                note = _left_by(grant.source.command)
            revoked = not note and grant.client is not None
            if grant.api_key is not None:
                note = "; ".join(filter(None, (note, _KEY_GONE)))
            await self._vault.journal.delete(grant.id)
        finally:
            entry.leaving = False
            entry.announce()
        self._book.remove(entry)
        self._events.tell("logged-out", account=grant.name, detail=note)
        return replies.LoggedOut(account=grant.name, revoked=revoked, note=note)

    async def _who(self, sign_in: SignIn, tokens: outcomes.Tokens) -> tuple[str, str]:
        """Subject, and how a person would recognise it; empty for a provider that says neither."""
        client = sign_in.client
        subject = who = ""
        if tokens.id_token is not None:
            nonce = None if sign_in.by_code else sign_in.nonce
            identity = await identities.check_sign_in(self._web, client, tokens.id_token, nonce, self._clock)
            subject, who = identity.subject, identity.who
        elif "openid" in client.scopes:
            raise SignInFailed(f"{client.provider} sent no ID token though the scope openid was asked for")
        if not who and (told := await identities.ask_userinfo(self._web, client, tokens.access_token, subject)):
            subject, who = told.subject, told.who
        return subject, who

    async def _adopt(self, entry: Entry | None, old: Grant, new: Grant) -> replies.Account:
        if entry is None:
            entry = Entry(new, self._clock)
            await self._settling.adopt(entry, new, new)
            if not self._book.closed:  # locked meanwhile: it is in the store, and nowhere else
                self._book.add(entry)
        else:
            await self._settling.adopt(entry, old, new)
        return self._served(entry)

    def _served(self, entry: Entry) -> replies.Account:
        """A new generation, from now on."""
        entry.forgive()
        self._refresher.plan(entry)
        entry.announce()
        self._refresher.lives(entry)
        return entry.described(self._clock, default=entry.grant.name == self._book.default)

    async def _give_back(self, client: Client, tokens: outcomes.Tokens) -> None:
        """Only what another person was granted: at some providers a revocation ends all that one has consented to."""
        with anyio.move_on_after(_GIVE_BACK):
            await self._revoke(client, tokens.refresh_token, tokens.access_token)

    async def _revoke(self, client: Client | None, refresh_token: Secret | None, access_token: Secret | None) -> str:
        """The refresh token first: with it most providers end the whole grant (RFC 7009 §2.1)."""
        note = ""
        if client and refresh_token:
            note = await self._endpoint.revoke(client, refresh_token, "refresh_token")
        if client and access_token and not note:
            note = await self._endpoint.revoke(client, access_token, "access_token")
        return note


def _left_by(command: tuple[str, ...]) -> str:
    """What goes on of an account that a command gave tokens to."""
    if PurePath(command[0]).name == "ant":
        return f"{command[0]} keeps its own sign-in: end it there"
    return f"whatever {command[0]} has its tokens from is as it was"


def _same_client(one: Client | None, other: Client) -> bool:
    return one is not None and (one.client_id, one.token_endpoint) == (other.client_id, other.token_endpoint)


def _without_key(grant: Grant) -> Grant:
    return msgspec.structs.replace(grant, api_key=None)


def blank(name: str, provider: str) -> Grant:
    """An account before its first generation."""
    return Grant(id=secrets.token_bytes(16), name=name, provider=provider, generation=0)


async def landed(entry: Entry) -> None:
    """Lets the open refresh finish: another generation would close its intent while its answer is on its way."""
    while entry.flying:
        await entry.changed.wait()


@asynccontextmanager
async def grounded(entries: Iterable[Entry], book: Book, refresher: Refresher) -> AsyncIterator[None]:
    """Meanwhile no refresh of them is under way, and none begins."""
    resting: list[Entry] = []
    try:
        for entry in entries:
            await landed(entry)
            entry.leaving = True
            resting.append(entry)
        yield
    finally:
        for entry in resting:
            entry.leaving = False
            if entry in book:
                refresher.plan(entry)
            entry.announce()


def another(old: Grant, terms: Bound, asked: Login, *, known: bool) -> SignInFailed | None:
    """Why this sign-in may not take the place of `old`: it is of another kind, server, API, or person there.

    Where a person said so, it may. `known`: who signed in is; an empty subject is then one that the provider does not
    say, which could be anybody.

    A subject means something only together with its issuer, who can give it any name (OpenID Connect Core §2).
    """
    if asked.replace:
        return None
    hint = login_command(asked, old.name, "--replace")
    if old.client and terms.client and (moved_on := _elsewhere(old.client, terms.client, asked)):
        here, there = moved_on
        return SignInFailed(f"{old.name} is signed in at {here}, and this sign-in is at {there}", hint=hint)
    kind = kind_of(terms.source, signed_in=True)
    if old.kind not in ("api-key", kind):
        return SignInFailed(f"{old.name} is an account of the kind {old.kind}, and this would be {kind}", hint=hint)
    if away := moved(old, terms.provider, terms.endpoint, terms.usual):
        return SignInFailed(f"{old.name} is for {away[0]}, and this sign-in is for {away[1]}", hint=hint)
    said = _somebody_else(old, terms, known=known)
    return SignInFailed(said, hint=hint) if said else None


def _somebody_else(old: Grant, terms: Bound, *, known: bool) -> str:
    if any(old.identity) and any(terms.identity) and old.identity != terms.identity:
        before, now = (federation.named(each.identity) for each in (old, terms))
        return f"{old.name} stands for {before}, and its identity is that of {now} now"
    if old.subject and known and old.subject != terms.subject:
        newcomer = terms.who or terms.subject or "somebody"
        return f"{old.name} belongs to {old.who or old.subject}, and {newcomer} signed in"
    return ""


def _check_endpoint(grant: Grant, endpoint: str, usual: str) -> None:
    """A sign-in's token must not go elsewhere because a key was stored beside it."""
    if grant.kind != "api-key" and endpoint and (away := moved(grant, grant.provider, endpoint, usual)):
        raise BadRequest(
            f"the sign-in of {grant.name} is for {away[0]}, and this key is for {away[1]}",
            hint=f"aixtiv api-key set {grant.name}/key --endpoint {endpoint}",
        )


def _as_now(terms: Bound, entry: Entry | None, asked: Login) -> Bound:
    """Where no endpoint was said, the account's own stays: also one that came while this sign-in was under way."""
    if entry is None or asked.endpoint:
        return terms
    return msgspec.structs.replace(terms, endpoint=endpoint_for(entry.grant, terms.provider, ""))


def _check_seen(seen: Grant, entry: Entry | None, terms: Bound, asked: Login) -> None:
    """While its source was asked, the account must not have gone, or become another sign-in's."""
    now = entry.grant if entry else None
    if now is None or now.id != seen.id:
        said = f"{seen.name} was signed out while its new source was asked"
    elif (now.kind, now.signed_in_at) != (seen.kind, seen.signed_in_at) and now.source != terms.source:
        said = f"another sign-in to {seen.name} finished while its new source was asked"
    else:
        return
    raise SignInFailed(said, hint=login_command(asked, seen.name))


def _elsewhere(old: Client, new: Client, asked: Login) -> tuple[str, str] | None:
    """The two places, where a sign-in is for another one than that before; None: it is not.

    Who signs people in for a resource it says itself, and it may say another one than before (MCP); a caller may not.
    """
    here, there = old.resource, new.resource
    if here and there and not (resource.covers(here, there) or resource.covers(there, here)):
        return here, there
    settings = asked.settings
    said = settings.issuer or settings.authorization_endpoint or settings.token_endpoint
    if _server(old) == _server(new) or (here and there and not said):
        return None
    return _server(old), _server(new)


def _moved_on(old: Grant, new: Grant) -> str:
    """A resource that names another server than before is taken at its word, and that is told."""
    if not old.client or not new.client or not old.client.resource or _server(old.client) == _server(new.client):
        return ""
    return (
        f"{new.client.resource} has people sign in at {_server(new.client)} now, and no more at {_server(old.client)}"
    )


def _server(client: Client) -> str:
    return client.issuer or urlsplit(client.token_endpoint).netloc
