"""Which of an account's generations counts: what is kept of the earlier ones, and one of them made the newest."""

from collections.abc import Callable
from typing import Final

import msgspec

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Source
from aixtivd import log
from aixtivd.accounts import grant as grants
from aixtivd.accounts.book import Book, Entry, unix
from aixtivd.accounts.changes import Changes, grounded
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Grant
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.sources import check_source
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import NoAccount, Refused, WaitedTooLong
from aixtivd.vault.vault import Vault

_PATIENCE: Final = 30.0  # seconds for the refresh that tries it

May = Callable[[Source | None], None]


class Generations:
    """Each method raises AixtivError, and while the vault is locked Locked. What changes something is durable."""

    def __init__(
        self,
        book: Book,
        vault: Vault,
        changes: Changes,
        settling: Settling,
        refresher: Refresher,
        work: Work,
        events: Events,
        clock: Clock,
    ) -> None:
        self._book = book
        self._vault = vault
        self._changes = changes
        self._settling = settling
        self._refresher = refresher
        self._work = work
        self._events = events
        self._clock = clock

    async def shown(self, asked: requests.Generations) -> replies.GenerationList:
        entry = self._book.named(asked.account, "account restore")
        kept = await self._kept(entry.grant)
        line = [entry.grant, *(grant for grant, _ in kept)]
        ends = [0.0, *(until for _, until in kept)]
        shown = (
            replies.Generation(
                number=grant.generation,
                current=grant is entry.grant,
                made_at=unix(grant.refreshed_at or grant.signed_in_at),
                kept_until=unix(until),
                expires_at=unix(grant.expires_at),
                renewable=grant.renewable,
                spent=spent(grant, line),
                who=grant.who,
                scopes=grant.scopes,
            )
            for grant, until in zip(line, ends, strict=True)
        )
        return replies.GenerationList(account=entry.grant.name, generations=tuple(shown))

    async def reinstate(self, asked: requests.Reinstate, may: May) -> replies.AccountChanged:
        """Durable first, whoever hangs up; then tried by one refresh, whose outcome the account tells.

        `may` raises where that source may not be asked.
        """
        name = self._book.named(asked.account, "account restore").grant.name
        entry, said = await self._work.run(self._reinstate, name, asked, may)
        if entry.grant.renewable and not entry.leaving:
            said = f"{said}; {await self._tried(entry)}"
        account = entry.described(self._clock, default=name == self._book.default)
        return replies.AccountChanged(account=account, note=said)

    async def _reinstate(self, name: str, asked: requests.Reinstate, may: May) -> tuple[Entry, str]:
        async with self._changes.turn(name):
            entry = self._book.named(name)
            async with grounded([entry], self._book, self._refresher):
                now = entry.grant
                kept = [grant for grant, _ in await self._kept(now)]
                then = _picked(now, kept, asked.generation)
                may(then.source)
                if not asked.anyway:
                    _check_spent(now, then, kept)
                if then.source is not None:
                    check_source(then.source, name, self._book)
                new = reinstated(now, then)
                await self._settling.adopt_all([(entry, new)])
                entry.forgive()
            self._refresher.lives(entry)
        key = ", with the API key that it had" if new.api_key not in (None, now.api_key) else ""
        said = f"generation {then.generation} counts again{key}, as generation {new.generation}"
        self._events.tell("reinstated", account=name, detail=said, expires_at=unix(new.expires_at))
        days = "a day" if now.signed_in_at == new.signed_in_at else "two days"  # the last of a sign-in: vault.kept
        return entry, f"{said}, and {now.generation} is kept for {days}"

    async def _tried(self, entry: Entry) -> str:
        """How one refresh of it went, as the end of a sentence."""
        before = entry.grant
        self._refresher.force(entry)
        try:
            await self._refresher.settled(entry, self._clock.steady() + _PATIENCE)
        except WaitedTooLong:
            return "its refresh has no answer yet"
        if entry.problem or entry.grant.quarantined:
            return "its refresh failed"
        return "its refresh brought a new token" if entry.grant is not before else "it was not refreshed"

    async def _kept(self, now: Grant) -> list[tuple[Grant, float]]:
        """Newest first, each with the time at which it may go."""
        found = []
        for kept in await self._vault.journal.kept_until(now.id):
            try:
                grant = grants.from_row(kept.row)
            except msgspec.DecodeError:
                log.error("unreadable-grant", row=kept.row.id.hex()[:8])
            else:
                if grant.generation < now.generation:
                    found.append((grant, kept.until))
        return found


def spent(grant: Grant, line: list[Grant]) -> bool:
    """Whether its refresh token was exchanged for that of a later generation in `line`, of the same sign-in."""
    return grant.refresh_token is not None and any(
        later.generation > grant.generation
        and later.signed_in_at == grant.signed_in_at
        and later.refresh_token not in (None, grant.refresh_token)
        for later in line
    )


def reinstated(now: Grant, then: Grant) -> Grant:
    """The next generation, which is as an earlier one was.

    The API key beside a sign-in for the same place is as it is now, none too: that was not what failed. A key elsewhere
    is that place's own, and where there was nothing but a key, the key is what comes back. One that was taken away is
    in none of what is kept.
    """
    stays = then.kind != "api-key" and (now.provider, now.endpoint) == (then.provider, then.endpoint)
    return msgspec.structs.replace(
        then,
        name=now.name,
        generation=now.generation + 1,
        api_key=now.api_key if stays else then.api_key,
        quarantined="",
    )


def _picked(now: Grant, kept: list[Grant], number: int) -> Grant:
    """0: the newest that is not spent; where all are, the newest."""
    if not kept:
        raise NoAccount(
            f"nothing is kept of {now.name}: of earlier generations three are kept at most, each for a day or two",
            hint=f"aixtiv login {now.name}",
        )
    if not number:
        return next((grant for grant in kept if not spent(grant, [now, *kept])), kept[0])
    for grant in kept:
        if number == grant.generation:
            return grant
    raise NoAccount(f"generation {number} of {now.name} is not kept", hint=f"aixtiv account restore {now.name} --list")


def _check_spent(now: Grant, then: Grant, kept: list[Grant]) -> None:
    """A provider may end the whole sign-in for a second use: many do where tokens rotate (RFC 9700 §4.14.2).

    Where nothing works any more, and the provider is not known for it, a second use can only help.
    """
    if not spent(then, [now, *kept]):
        return
    name = now.name
    said = f"the refresh token of generation {then.generation} has been spent"
    if then.client is not None and then.client.quirks.punishes_reuse:
        said += f", and its provider ends the whole sign-in to {name} where one is used twice"
    elif not now.quarantined:
        said += f", and {name} works: its provider may end the whole sign-in where one is used twice"
    else:
        return
    raise Refused(said, hint=f"aixtiv account restore {name} --generation {then.generation} --anyway")
