"""Every account into a backup, and back out of one: all that is in it, or nothing."""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import msgspec
from msgspec import Struct

from aixtivd.accounts import grant as grants
from aixtivd.accounts.book import Book, Entry, checked_name
from aixtivd.accounts.changes import grounded
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.clock import Clock
from aixtivd.errors import BadRequest, Locked
from aixtivd.vault import backup
from aixtivd.vault.rows import Row

Turn = Callable[[str], AbstractAsyncContextManager[object]]
"""One change of an account at a time."""


class Restored(Struct, frozen=True):
    """Names, sorted."""

    accounts: tuple[str, ...]
    kept: tuple[str, ...]  # that were there already, and stayed as they were


class Restoring:
    def __init__(
        self, book: Book, settling: Settling, refresher: Refresher, turn: Turn, events: Events, clock: Clock
    ) -> None:
        self._book = book
        self._settling = settling
        self._refresher = refresher
        self._turn = turn
        self._events = events
        self._clock = clock

    def content(self) -> "backup.Content":
        """The newest grant of every account, whole: also one that neither store nor spill slot took. Raises Locked."""
        if self._book.closed:
            raise Locked
        records = (grants.to_row(entry.grant).payload for entry in self._book)
        return backup.Content(self._clock.wall(), tuple(records))

    async def restore(self, content: "backup.Content", *, replace: bool) -> Restored:
        """In one transaction. An account that is there stays, unless `replace`: then its generation is kept for a day.

        Also then one stays that works and is newer than the backup: what the backup has of it is spent, maybe.
        Raises BadRequest, Locked, StoreFailed.
        """
        found = read(content)
        async with AsyncExitStack() as turns:
            for name in sorted(found):
                await turns.enter_async_context(self._turn(name))
            if self._book.closed:
                raise Locked
            there = {name: entry for name in sorted(found) if (entry := self._book.find(name))}
            async with grounded(list(there.values()) if replace else [], self._book, self._refresher):
                kept = tuple(name for name, at in there.items() if not replace or self._newer(at, content.made_at))
                steps = [self._step(there.get(name), found[name]) for name in sorted(found) if name not in kept]
                await self._settling.adopt_all(steps)
            for entry, grant in steps:
                self._serve(entry, grant)
        return Restored(tuple(grant.name for _, grant in steps), kept)

    def _newer(self, entry: Entry, made_at: float) -> bool:
        """Whether an account works, and has a token or a sign-in that came after the backup."""
        grant = entry.grant
        works = not grant.quarantined and ((grant.renewable and not entry.stopped) or entry.left(self._clock) > 0)
        return works and max(grant.refreshed_at, grant.signed_in_at) > made_at

    def _step(self, entry: Entry | None, grant: Grant) -> tuple[Entry, Grant]:
        """A record of its own: one that was signed out must not come back under the id that it had."""
        if entry is None:
            new = msgspec.structs.replace(grant, id=secrets.token_bytes(16))
            return Entry(new, self._clock), new
        old = entry.grant
        return entry, msgspec.structs.replace(grant, id=old.id, generation=old.generation + 1)

    def _serve(self, entry: Entry, grant: Grant) -> None:
        if self._book.closed:  # locked meanwhile: it is in the store, and nowhere else
            return
        self._book.add(entry)
        entry.forgive()
        self._refresher.plan(entry)
        entry.announce()
        self._refresher.lives(entry)
        self._events.tell(
            "signed-in",
            audited=False,
            account=grant.name,
            detail="restored from a backup",
            expires_at=int(grant.expires_at),
        )


def read(content: "backup.Content") -> dict[str, Grant]:
    """By name. Raises BadRequest before anything has changed."""
    if not 0 <= content.made_at <= grants.LAST:
        raise BadRequest("the backup says no time at which it was made")
    found: dict[str, Grant] = {}
    for record in content.records:
        try:
            grant = grants.from_row(Row(b"", 0, record))
        except msgspec.DecodeError:
            raise BadRequest(
                "the backup holds an account that this aixtiv does not know how to read",
                hint="pip install --upgrade aixtiv",
            ) from None
        if checked_name(grant.name) in found:
            raise BadRequest(f"the backup holds {grant.name} twice")
        if not grant.timely:
            raise BadRequest(f"the backup holds {grant.name} with times that are none")
        found[grant.name] = grant
    return found
