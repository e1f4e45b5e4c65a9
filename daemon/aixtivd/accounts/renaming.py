"""Another name for an account: in one transaction, with all that knows it by its name."""

import re
from collections.abc import Iterator
from contextlib import AsyncExitStack

import msgspec

from aixtiv_protocol.requests import Federation
from aixtivd.access.rules import fits
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.book import Book, Entry, Problem, listed
from aixtivd.accounts.changes import Changes, grounded
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.login import SignIns
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.terms import Terms
from aixtivd.config import Config
from aixtivd.errors import BadRequest, Busy


class Renaming:
    """`tickets`: those that are good for accounts; None in a daemon that has none."""

    def __init__(
        self,
        book: Book,
        changes: Changes,
        settling: Settling,
        refresher: Refresher,
        sign_ins: SignIns,
        terms: Terms,
        tickets: Tickets | None,
        events: Events,
    ) -> None:
        self._book = book
        self._changes = changes
        self._settling = settling
        self._refresher = refresher
        self._sign_ins = sign_ins
        self._terms = terms
        self._tickets = tickets
        self._events = events

    async def rename(self, name: str, to: str) -> str:
        """Waits for an open refresh, and is durable when it returns. What a person has to know of it, a sentence.

        To be run where no caller's hang-up can cut it.
        """
        async with AsyncExitStack() as turns:
            for each in sorted({name, to, *self.fed_by(name)}):
                await turns.enter_async_context(self._changes.turn(each))
            entry = self._book.named(name, "account rename")
            self._check(entry, to)
            async with grounded([entry], self._book, self._refresher):
                fed = self.fed_by(name)
                await self._commit([entry, *map(self._book.named, fed)], name, to)
            entry.problem = _retold(entry.problem, name, to)
        self._events.tell("renamed", account=to, detail=f"it was called {name}")
        return self._note(name, to)

    async def _commit(self, entries: list[Entry], name: str, to: str) -> None:
        async with AsyncExitStack() as turn:
            notes = await turn.enter_async_context(self._tickets.renaming(name, to)) if self._tickets else {}
            await self._settling.relabel(entries, lambda grant: renamed(grant, name, to), notes)
        self._refresher.renamed(name, to)

    def _check(self, entry: Entry, to: str) -> None:
        name = entry.grant.name
        if to == name:
            raise BadRequest(f"{name} is called that already", hint="aixtiv accounts")
        if self._book.find(to) is not None:
            raise BadRequest(f"there is an account {to} already", hint=f"aixtiv account rename {to} ANOTHER")
        for each in (name, to):
            if self._sign_ins.of(each) is not None:
                raise Busy(
                    f"a sign-in to {each} is open, and would bring back that name: finish it first",
                    hint=f"aixtiv callback {each}",
                )
        provider = entry.grant.provider
        here, there = (self._terms.usual_origin(each, provider) for each in (name, to))
        if not entry.grant.endpoint and here and here != there:
            raise BadRequest(
                f"the config sends the calls of {name} to {here}, and those of {to} to {there or 'nowhere'}:"
                " a credential does not go elsewhere by its name",
                hint="aixtiv config check",
            )

    def fed_by(self, name: str) -> list[str]:
        """The accounts that get their tokens by the identity of this one."""
        return [entry.grant.name for entry in self._book.behind() if _feeder(entry.grant) == name]

    def _note(self, name: str, to: str) -> str:
        """Also what was fed by an account that was called `to`, and is no more."""
        config, fed = self._terms.config, self.fed_by(to)
        parts = []
        if names := list(_mentions(config, name, to)):
            parts.append(f"the config says {name} in {listed(names, ' and ')}: change it there, then aixtiv reload")
        if fed:
            parts.append(f"{listed(fed, ' and ')} {'gets' if len(fed) == 1 else 'get'} tokens by the identity of {to}")
        return "; ".join(parts)


def renamed(grant: Grant, name: str, to: str) -> Grant:
    """The same with that name in the place of the other, wherever it stands in it."""
    source = grant.source
    if isinstance(source, Federation) and source.identity_account == name:
        source = msgspec.structs.replace(source, identity_account=to)
    if grant.name != name:
        return msgspec.structs.replace(grant, source=source)
    return msgspec.structs.replace(grant, name=to, source=source, quarantined=_said(grant.quarantined, name, to))


def _feeder(grant: Grant) -> str:
    return grant.source.identity_account if isinstance(grant.source, Federation) else ""


def _retold(problem: Problem | None, name: str, to: str) -> Problem | None:
    if problem is None:
        return None
    hint = re.sub(rf"(?<!\S){re.escape(name)}(?![^\s,])", lambda _: to, problem.hint)
    return msgspec.structs.replace(problem, sentence=_said(problem.sentence, name, to), hint=hint)


def _said(sentence: str, name: str, to: str) -> str:
    """Our sentences about an account begin with its name."""
    return f"{to}{sentence.removeprefix(name)}" if sentence.startswith(f"{name}: ") else sentence


def _mentions(config: Config, name: str, to: str) -> Iterator[str]:
    """The keys of the config that are about the account under the one name, and not under the other."""
    if config.default_account == name:
        yield "default-account"
    if config.claude.account == name:
        yield "claude.account"
    if name in config.api:
        yield f"api.{name}"
    if name in config.account:
        yield f"account.{name}"
    for key, server in config.mcp.items():
        if (server.account or key) == name:
            yield f"mcp.{key}"
    if _about(config.access.relay_only, name) != _about(config.access.relay_only, to):
        yield "access.relay-only"
    for number, rule in enumerate(config.rule, 1):
        if _about(rule.accounts, name) != _about(rule.accounts, to):
            yield f"rule {number}"


def _about(patterns: tuple[str, ...], name: str) -> bool:
    return any(fits(pattern, name) for pattern in patterns)
