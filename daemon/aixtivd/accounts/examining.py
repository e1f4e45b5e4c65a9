"""Finding out whether a credential is good: asking its issuer, and what `aixtiv doctor` wants looked at."""

import time
from collections.abc import Iterator
from typing import Final

import anyio
import anyio.lowlevel

from aixtiv_protocol import replies, requests
from aixtiv_protocol.replies import Finding
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.serving import Serving
from aixtivd.accounts.states import Freshness
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Locked, WaitedTooLong
from aixtivd.oauth import discovery
from aixtivd.oauth import identity as identities
from aixtivd.oauth.client import TENANT, Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web, check_url
from aixtivd.vault.vault import Vault

KEY_SOURCE: Final = 1.0  # seconds in which it should answer: at every start somebody waits for it
_ISSUER: Final = 10.0  # seconds
TOKEN: Final = 15.0  # seconds for a refresh, where one is due
_MOST: Final = 200  # findings told one by one
SKEW: Final = 60.0  # seconds that two clocks may differ, as the check of an ID token has it


class Examining:
    def __init__(self, book: Book, vault: Vault, endpoint: Endpoint, web: Web, serving: Serving, clock: Clock) -> None:
        self._book = book
        self._vault = vault
        self._endpoint = endpoint
        self._web = web
        self._serving = serving
        self._clock = clock

    async def verify(self, entry: Entry, wait: float) -> replies.Verified:
        """Asks the issuer about the token to serve; what it cannot be asked is said in the note."""
        grant = entry.grant
        if grant.client is None or grant.access_token is None:
            what = "an API key" if grant.kind == "api-key" else "what a command prints"
            note = f"{what} is checked by using it: no provider has an endpoint for that"
            return replies.Verified(account=self.described(entry), note=note)
        active: bool | None = None
        verdict: replies.Verdict = ""
        notes: list[str] = []
        with anyio.move_on_after(wait) as scope:
            active = await self._endpoint.introspect(grant.client, grant.access_token)
            if active is None:
                notes.append(f"{grant.provider} has no introspection endpoint")
            if grant.id_token and not grant.client.jwks_uri:
                notes.append(f"{grant.provider} publishes no keys to check its ID token with")
            elif grant.id_token:
                verdict = (
                    "valid" if await identities.check_signature(self._web, grant.client, grant.id_token) else "invalid"
                )
        if scope.cancelled_caught:
            raise WaitedTooLong(
                f"{grant.provider} did not answer in the time this caller waits",
                hint=f"aixtiv verify {grant.name} --wait 60",
            )
        age = int(self._clock.wall() - grant.id_token_at) if grant.id_token_at else 0
        return replies.Verified(
            account=self.described(entry), active=active, id_token=verdict, id_token_age=age, note="; ".join(notes)
        )

    def described(self, entry: Entry) -> replies.Account:
        return entry.described(self._clock, default=entry.grant.name == self._book.default)

    async def examine(self, account: str) -> replies.Examined:
        """One finding for each thing that was looked at; what is wrong is a finding, too. Raises NoAccount."""
        findings = [await self._key_source()]
        if self._book.closed:
            findings.append(Finding(name="token", ok=False, sentence="the vault is locked", hint=Locked.hint))
            return replies.Examined(findings=tuple(findings))
        entries = [self._book.named(account, "verify")] if account else list(self._book)
        for found in await self._each(entries):
            findings += found
        return replies.Examined(findings=tuple(_told(findings)))

    async def _each(self, entries: list[Entry]) -> list[list[Finding]]:
        """Of all accounts at once, in the order of their names; an issuer that several share is asked once."""
        results: dict[str, list[Finding]] = {}
        clients = {entry.grant.client.token_endpoint: entry.grant.client for entry in entries if entry.grant.client}
        issuers: dict[str, Finding] = {}

        async def ask(endpoint: str, client: Client) -> None:
            issuers[endpoint] = await self._issuer(client)

        async def look(entry: Entry) -> None:
            results[entry.grant.name] = [await self._token(entry)]

        async with anyio.create_task_group() as tasks:
            for endpoint, client in clients.items():
                tasks.start_soon(ask, endpoint, client)
            for entry in entries:
                if entry.freshness(self._clock, 0) is Freshness.WAIT:
                    tasks.start_soon(look, entry)
                else:
                    await look(entry)  # there is nothing to wait for, and there may be thousands
                    await anyio.lowlevel.checkpoint()
        for endpoint, client in clients.items():
            results[f"/{endpoint}"] = [issuers[endpoint], *self._clock_of(client)]  # no account's name begins so
        return [results[name] for name in sorted(results)]

    async def _key_source(self) -> Finding:
        source = self._vault.key_source
        if source == "passphrase":
            return Finding(name="key-source", ok=True, sentence="the vault's key is a passphrase, asked for at unlock")
        since = time.monotonic()
        with anyio.move_on_after(KEY_SOURCE) as scope:
            try:
                await self._vault.try_key()
            except AixtivError as failure:
                return Finding(name="key-source", ok=False, sentence=failure.sentence, hint=failure.hint)
        if scope.cancelled_caught:
            sentence = f"the key source {source} did not answer within a second"
            return Finding(name="key-source", ok=False, sentence=sentence, hint="aixtiv status")
        took = (time.monotonic() - since) * 1000
        return Finding(name="key-source", ok=True, sentence=f"the key source {source} answered in {took:.0f} ms")

    async def _issuer(self, client: Client) -> Finding:
        host = check_url(client.token_endpoint).netloc
        try:
            with anyio.fail_after(_ISSUER):
                if client.issuer and TENANT not in client.issuer:
                    await discovery.discover(self._web, client.issuer)
                    what = f"{client.issuer} says how to sign in there"
                else:
                    answer = await self._web.send("GET", client.token_endpoint, timeout=_ISSUER)
                    what = f"{host} answers ({answer.status} to a question it need not know)"
        except TimeoutError:
            what = f"{host} did not answer within {_ISSUER:g} seconds"
        except AixtivError as failure:
            what = failure.sentence
        else:
            return Finding(name="issuer", ok=True, sentence=what)
        return Finding(name="issuer", ok=False, sentence=what, hint="aixtiv config check")

    def _clock_of(self, client: Client) -> Iterator[Finding]:
        """As measured when its issuer was asked just now, or before."""
        host = check_url(client.token_endpoint).hostname or ""
        skew = self._web.skews.get(host)
        if skew is None:
            return
        side = "ahead of" if skew > 0 else "behind"
        sentence = f"the clock of {host} is {abs(skew):.0f} seconds {side} this machine's"
        ok = abs(skew) <= SKEW
        yield Finding(name="clock", ok=ok, sentence=sentence, hint="" if ok else "timedatectl status")

    async def _token(self, entry: Entry) -> Finding:
        name = entry.grant.name
        if entry.grant.kind == "api-key":
            return Finding(
                name="token", ok=True, account=name, sentence="an API key: whether it is good, only a call shows"
            )
        try:
            token = await self._serving.token(requests.Token(account=name, wait=TOKEN))
        except AixtivError as failure:
            return Finding(name="token", ok=False, account=name, sentence=failure.sentence, hint=failure.hint)
        left = token.expires_at - self._clock.wall()
        until = f"good for another {left / 60:.0f} minutes" if token.expires_at else "it does not expire"
        if entry.problem or entry.grant.quarantined:
            why = entry.over(self._clock)
            return Finding(name="token", ok=False, account=name, sentence=f"{until}, but {why.sentence}", hint=why.hint)
        return Finding(name="token", ok=True, account=name, sentence=until)


def _told(findings: list[Finding]) -> list[Finding]:
    """As many as one answer can carry: what is wrong first, and the number of the others."""
    if len(findings) <= _MOST:
        return findings
    told = sorted(findings, key=lambda finding: finding.ok)[:_MOST]  # stable: what is alike stays in its order
    good = sum(finding.ok for finding in findings) - sum(finding.ok for finding in told)
    bad = len(findings) - len(told) - good
    if bad:
        told.append(Finding(name="token", ok=False, sentence=f"{bad} more are not in order", hint="aixtiv accounts"))
    if good:
        told.append(Finding(name="token", ok=True, sentence=f"{good} more are in order"))
    return told
