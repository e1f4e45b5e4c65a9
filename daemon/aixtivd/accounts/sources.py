"""Tokens that nobody signs in for: an identity exchanged, a client's own, what a command prints. Asking spends none."""

import re
from pathlib import PurePath
from typing import Final, assert_never

import msgspec

from aixtiv_protocol.requests import ClientCredentials, Command, Federation, Source
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.book import Book
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.hosts import Host, Hosts
from aixtivd.accounts.identities import UNSAID, Identities, by_hand
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, BadRequest, Misconfigured, Refused, SignInNeeded, Unreachable
from aixtivd.host import faults, program
from aixtivd.oauth import federation, outcomes
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint

PRINTED_LIFE: Final = 450.0
"""Seconds for which a printed token is served, since nothing says how long it lives: with the usual lead it is asked
for again after five minutes; and at once where an API does not take it."""

_USUAL_TIMEOUT: Final = 10.0  # seconds, of a command
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,65536}")  # what may stand in an Authorization header


class Sources:
    def __init__(self, endpoint: Endpoint, identities: Identities, hosts: Hosts, clock: Clock) -> None:
        self._endpoint = endpoint
        self._identities = identities
        self._hosts = hosts
        self._clock = clock

    async def ask(self, grant: Grant) -> outcomes.Tokens:
        """New tokens for an account with a source. Raises AixtivError, after which it can be asked again."""
        tokens = await self._ask(grant)
        faults.point("after-ask")
        return tokens

    async def _ask(self, grant: Grant) -> outcomes.Tokens:
        """Another account's refresh is waited for outside the host's slots: it may need one itself."""
        host = self._hosts.of(grant)
        match grant.source:
            case Command() as source:
                async with host.slots:
                    return await _printed(source)
            case Federation() as source:
                assertion = await self._identities.token(source)
                _check_whose(grant, source, assertion)
                async with host.slots:
                    outcome = await self._endpoint.federate(_client(grant), assertion, federation.facts(source))
            case ClientCredentials():
                async with host.slots:
                    outcome = await self._endpoint.client_credentials(_client(grant))
            case None:
                raise AixtivError(f"{grant.name} has no source")
            case _:
                assert_never(grant.source)
        return self._tokens(host, outcome)

    def _tokens(self, host: Host, outcome: outcomes.Outcome) -> outcomes.Tokens:
        if isinstance(outcome, outcomes.TryAgain):
            host.failed(self._clock.steady(), self._hosts.chance())
        else:
            host.succeeded()
        match outcome:
            case outcomes.Granted(tokens=tokens):
                return msgspec.structs.replace(tokens, refresh_token=None)  # the source is asked instead
            case outcomes.TryAgain(reason=reason, retry_after=seconds):
                raise Unreachable(reason, retry_after=seconds)
            case outcomes.Misconfigured(reason=reason):
                raise Misconfigured(reason)
            case outcomes.NeedsSignIn(reason=reason) | outcomes.Refused(reason=reason):
                raise Refused(reason)
            case outcomes.Rotated(reason=reason):
                raise Refused(reason)
            case _:
                assert_never(outcome)


def check_source(source: Source, name: str, book: Book) -> None:
    """What types cannot say of a source for the account `name`. Raises BadRequest, or NoAccount for an identity's."""
    match source:
        case ClientCredentials():
            return
        case Command():
            _check_command(source.command)
        case Federation():
            given = (source.identity_file, source.identity_command, source.identity_account)
            if sum(map(bool, given)) != 1:
                raise BadRequest("an identity token comes from one of: a file, a command, another account")
            if source.identity_file and not PurePath(source.identity_file).is_absolute():
                raise BadRequest("the identity file: expected an absolute path")
            if source.identity_command:
                _check_command(source.identity_command)
            if source.identity_account:
                _check_circle(source.identity_account, name, book)
        case _:
            assert_never(source)


def whose(source: Source | None, book: Book) -> tuple[str, str]:
    """Whom a federation stands for that another account feeds, as that one is signed in now. Empty: for nobody yet.

    A file or a command is the person's own, and may say another name each time, as a machine's does.
    """
    if not isinstance(source, Federation) or not source.identity_account:
        return "", ""
    token = book.named(source.identity_account).grant.id_token
    return federation.holder_of(token) if token else ("", "")


def _check_whose(grant: Grant, source: Federation, assertion: Secret) -> None:
    """Raises SignInNeeded: whoever signs in to the other account does not by that become somebody else here."""
    now = federation.holder_of(assertion)
    if not source.identity_account or not any(grant.identity) or now == grant.identity:
        return
    raise SignInNeeded(
        f"{source.identity_account} is signed in as somebody else now than when this account was bound to it",
        hint=f"aixtiv login {grant.name} --replace",
    )


def left_behind(new: Grant, book: Book) -> str:
    """Which accounts got their tokens by the identity of `new`, and stand for somebody else: a sentence, or empty."""
    now = federation.holder_of(new.id_token) if new.id_token else ("", "")
    fed = [
        entry.grant
        for entry in book
        if isinstance(entry.grant.source, Federation) and entry.grant.source.identity_account == new.name
    ]
    names = sorted(grant.name for grant in fed if any(grant.identity) and grant.identity != now)
    if not names:
        return ""
    which, one = ", ".join(names), len(names) == 1
    return (
        f"{which} {'stands' if one else 'stand'} for who was signed in before, until: aixtiv login {names[0]} --replace"
    )


def _check_command(command: tuple[str, ...]) -> None:
    if not command or not PurePath(command[0]).is_absolute() or any("\0" in word for word in command):
        raise BadRequest("a command: expected an absolute path, and its arguments")


def _check_circle(identity: str, name: str, book: Book) -> None:
    """An account cannot live on its own identity, by however many others."""
    seen = [name]
    while identity:
        if identity in seen:
            raise BadRequest(f"the identity of {' would come from '.join([*seen, identity])}")
        seen.append(identity)
        source = book.named(identity).grant.source
        identity = source.identity_account if isinstance(source, Federation) else ""


async def _printed(source: Command) -> outcomes.Tokens:
    command = source.command
    try:
        printed = await program.output_of(command, source.timeout or _USUAL_TIMEOUT)
    except program.Failed as failure:
        raise Unreachable(f"{command[0]} {failure}; {UNSAID}", hint=by_hand(command)) from None
    token = printed.strip()
    if not _TOKEN.fullmatch(token):
        raise Misconfigured(f"{command[0]} prints something else than one token", hint=by_hand(command))
    return outcomes.Tokens(access_token=Secret(token), expires_in=int(PRINTED_LIFE))


def _client(grant: Grant) -> Client:
    if grant.client is None:
        raise AixtivError(f"{grant.name} has no client")
    return grant.client
