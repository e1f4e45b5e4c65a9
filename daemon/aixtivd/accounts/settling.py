"""One refresh as a transaction over two machines: intent, POST, and what each outcome means for the grant (D6, D7)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, assert_never

import anyio
from msgspec import DecodeError
from msgspec.structs import replace

from aixtiv_protocol.replies import Happening
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.accounts import states
from aixtivd.accounts.book import Book, Entry, Problem
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Grant, another, from_row, put_aside, renewed, rotated, to_row
from aixtivd.accounts.hosts import Host, Hosts
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Misconfigured, Refused, SignInNeeded, StoreFailed, Unreachable
from aixtivd.host import faults
from aixtivd.oauth import outcomes
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.vault.journal import Stale
from aixtivd.vault.rows import Intent, Relabelled, Row
from aixtivd.vault.vault import Vault

OUTCOMES: Final = ("refreshed", "unreachable", "sign_in_needed", "misconfigured", "refused")
"""What can come of asking for a new token; the failures by their codes on the wire."""


class Settling:
    """Every change that an answer makes to a grant, durable before any caller sees it."""

    def __init__(
        self, book: Book, vault: Vault, endpoint: Endpoint, hosts: Hosts, events: Events, clock: Clock
    ) -> None:
        self._book = book
        self._vault = vault
        self._endpoint = endpoint
        self._hosts = hosts
        self._events = events
        self._clock = clock
        self.counted: Counter[str] = Counter()  # new tokens asked for, by what came of it: OUTCOMES
        self._unsaved: set[Entry] = set()  # whose newest grant neither store nor slot took: seldom any, of thousands
        self._turn = anyio.Lock()  # from a look at an entry's grant to its successor in the store, and in the entry

    async def refresh(self, entry: Entry, host: Host) -> None:
        """Spends the refresh token once. Raises StoreFailed, having spent nothing, where no intent can be written."""
        async with self._turn:
            await self._save(entry)
            grant = entry.grant
            if grant.client is None or grant.refresh_token is None:
                return
            intent = await self._vault.journal.begin(grant.id, grant.generation, grant.refresh_token)
        with anyio.CancelScope(shield=True):
            outcome = await self._endpoint.refresh(grant.client, grant.refresh_token)
            faults.point("after-post")
            await self._settle(entry, grant, intent, outcome, host)

    async def adopt(self, entry: Entry, old: Grant, new: Grant) -> None:
        """Commits `new` in place of `old` and serves it. Raises Stale where another generation came first.

        One after the other: what a caller sees in the entry is then what the store has.

        Where neither store nor spill slot takes it, the pair is served from memory and tried again: losing it would be
        worse, and the log and `status` say so.
        """
        async with self._turn:
            if entry.grant is not old:
                raise Stale
            saved = True
            try:
                committed = await self._commit(entry, new)
            except StoreFailed as error:
                log.error("unsaved", account=new.name, detail=error.sentence)
                committed = saved = False
            if not committed:
                self._tell("spilled", new, "the store cannot be written; make room on its disk")
            entry.adopt(new, self._clock)
            if saved:
                self._is_saved(entry, new)
            else:
                self._unsaved.add(entry)

    async def adopt_all(self, changes: Sequence[tuple[Entry, Grant]]) -> None:
        """As `adopt`, of several: all of them in one transaction, or none. A new entry's grant is not saved yet.

        Raises StoreFailed where the store cannot be written: who brought them still has them.
        """
        async with self._turn:
            for entry, new in changes:
                if entry.grant is not new:
                    await self._save(entry)
            rows = [(to_row(new), _before(entry, new)) for entry, new in changes]
            await self._vault.journal.commit_all(rows)
            for entry, new in changes:
                entry.adopt(new, self._clock)
                self._is_saved(entry, new)

    async def relabel(
        self,
        entries: Sequence[Entry],
        words: Callable[[Grant], Grant],
        notes: Mapping[str, bytes],
        *,
        wipe: bool = False,
    ) -> None:
        """As `adopt_all`, of grants that say the same of other names: `words`, also of each that is kept.

        An open intent stays, and what they said before is not kept beside it. `wipe`: nor is it left on the disk. One
        that is kept, and of which nothing is left, goes.
        """
        async with self._turn:
            for entry in entries:
                await self._save(entry)
            await self._vault.journal.absorb()  # else it would come to what is kept as it was
            changes = [(entry, another(words(entry.grant))) for entry in entries]
            rows = tuple((to_row(new), to_row(entry.grant)) for entry, new in changes)
            earlier = [words(grant) for entry in entries for grant in await self._kept(entry)]
            kept = tuple(Row(grant.id, grant.generation, b"") if grant.empty else to_row(grant) for grant in earlier)
            await self._vault.journal.relabel(Relabelled(rows, kept, tuple(notes.items()), wipe))
            for entry, new in changes:
                before = entry.grant.name
                entry.adopt(new, self._clock)
                self._book.rename(entry, before)
                self._is_saved(entry, new)

    async def _kept(self, entry: Entry) -> list[Grant]:
        found = []
        for row in await self._vault.journal.kept(entry.grant.id):
            with suppress(DecodeError):  # a newer aixtiv's, maybe: it stays as it is
                found.append(from_row(row))
        return found

    async def _commit(self, entry: Entry, new: Grant) -> bool:
        return await self._vault.journal.commit(to_row(new), _before(entry, new))

    async def recover(self, entries: dict[bytes, Entry]) -> None:
        """After a start: an intent without a new pair means that the token was maybe spent (D6)."""
        for intent in await self._vault.journal.intents():
            entry = entries.get(intent.id)
            if entry is None or entry.grant.generation != intent.generation:
                log.warning("stray-intent", generation=intent.generation)
            elif intent.attempts >= self._tries(entry.grant):
                await self._quarantine(entry, entry.grant, _lost(entry.grant, intent.attempts))
            else:
                log.warning("interrupted", account=entry.grant.name, attempts=intent.attempts)
                entry.interrupted = True

    @property
    def unsaved(self) -> bool:
        """Whether something waits for the store to be writable again."""
        return bool(self._vault.spilled or self.only_in_memory)

    @property
    def only_in_memory(self) -> list[str]:
        """The accounts whose newest grant neither store nor slot took."""
        self._unsaved = {entry for entry in self._unsaved if entry in self._book}  # the others were signed out
        return sorted(entry.grant.name for entry in self._unsaved)

    async def save_the_unsaved(self) -> None:
        """Tries again what neither store nor slot took, and what waits in the slot."""
        if not self.unsaved or self._vault.locked:
            return
        try:
            if self._vault.spilled:
                log.info("absorbed", rows=await self._vault.journal.absorb())
            for entry in list(self._unsaved):
                async with self._turn:
                    await self._save(entry)
        except AixtivError as error:  # also Locked: it may be locked in between
            log.debug("still-unsaved", detail=error.sentence)

    async def _save(self, entry: Entry) -> None:
        grant = entry.grant
        if entry in self._unsaved and entry in self._book:
            await self._commit(entry, grant)
            self._is_saved(entry, grant)

    def _is_saved(self, entry: Entry, grant: Grant) -> None:
        entry.saved = grant
        self._unsaved.discard(entry)

    async def _settle(self, entry: Entry, grant: Grant, intent: Intent, outcome: outcomes.Outcome, host: Host) -> None:
        self.counted[_OUTCOME[type(outcome)]] += 1
        if isinstance(outcome, outcomes.TryAgain):
            host.failed(self._clock.steady(), self._hosts.chance())
        else:
            host.succeeded()
        if isinstance(outcome, outcomes.Granted):
            await self.granted(entry, grant, outcome.tokens)
            return
        if isinstance(outcome, outcomes.Rotated):
            await self._rotated(entry, grant, outcome)
            return
        if not of_one_sign_in(entry.grant, grant):
            log.warning("late-answer", account=grant.name, generation=grant.generation)
            return  # what became of the token before says nothing about the new one
        grant = entry.grant
        match outcome:
            case outcomes.TryAgain():
                await self._try_again(entry, grant, intent, outcome)
            case outcomes.NeedsSignIn():
                await self._quarantine(entry, grant, _ended(grant, intent, outcome.reason))
            case outcomes.Misconfigured():
                await self._stop(entry, Misconfigured, outcome.reason)
            case outcomes.Refused():
                await self._stop(entry, Refused, outcome.reason)
            case _:
                assert_never(outcome)

    async def granted(self, entry: Entry, grant: Grant, tokens: outcomes.Tokens) -> None:
        """New tokens for what `grant` was when they were asked for."""
        new = renewed(grant, tokens, self._clock.wall())
        try:
            await self.adopt(entry, grant, new)
        except Stale:
            if entry.grant is not grant and of_one_sign_in(entry.grant, grant):
                await self.granted(entry, entry.grant, tokens)  # an API key was stored or removed meanwhile
            else:
                await self._late(entry, new)
            return
        entry.forgive()
        ineffective = grant.lifetime and new.expires_at <= grant.expires_at
        entry.not_before = self._clock.steady() + (states.INEFFECTIVE if ineffective else states.LEAST_APART)
        self._tell("refreshed", new)

    async def _rotated(self, entry: Entry, grant: Grant, outcome: outcomes.Rotated) -> None:
        """The new refresh token is as precious as ever, though nothing could be used that came with it."""
        new = rotated(grant, outcome.refresh_token)
        try:
            await self.adopt(entry, grant, new)
        except Stale:
            await self._late(entry, new)
            return
        self._give_up(entry, Refused, outcome.reason)

    async def _late(self, entry: Entry, new: Grant) -> None:
        """A newer sign-in came first, and stays; a pair for an account that is gone is revoked."""
        log.warning("late-answer", account=new.name, generation=new.generation)
        if entry not in self._book and new.client and new.refresh_token:
            await self._endpoint.revoke(new.client, new.refresh_token, "refresh_token")

    async def _try_again(self, entry: Entry, grant: Grant, intent: Intent, outcome: outcomes.TryAgain) -> None:
        if outcome.refresh_token is not None:
            await self._rescued(entry, grant, outcome, outcome.refresh_token)
            return
        if outcome.maybe_spent and intent.attempts >= self._tries(grant):
            await self._quarantine(entry, grant, _lost(grant, intent.attempts))
            return
        if not outcome.maybe_spent:
            await self._unspent(entry)
        entry.interrupted = outcome.maybe_spent or intent.attempts > 1
        self._later(entry, grant, outcome)

    async def _rescued(self, entry: Entry, grant: Grant, outcome: outcomes.TryAgain, refresh_token: Secret) -> None:
        """Of an answer that was cut the new refresh token came: the old one is spent, this one is tried next."""
        new = rotated(grant, refresh_token)
        try:
            await self.adopt(entry, grant, new)
        except Stale:
            await self._late(entry, new)
            return
        log.warning("rescued", account=new.name, generation=new.generation)
        entry.interrupted = True
        self._later(entry, new, outcome)

    def _later(self, entry: Entry, grant: Grant, outcome: outcomes.TryAgain) -> None:
        entry.failures += 1
        wait = states.wait_after(entry.failures, outcome.retry_after, self._hosts.chance())
        entry.not_before = self._clock.steady() + wait
        self.problem(entry, Unreachable, f"{grant.name}: {outcome.reason}", f"aixtiv refresh {grant.name}")

    async def _stop(self, entry: Entry, kind: type[AixtivError], reason: str) -> None:
        await self._unspent(entry)
        self._give_up(entry, kind, reason)

    def _give_up(self, entry: Entry, kind: type[AixtivError], reason: str) -> None:
        """Only a person can mend it: the grant is kept, and not tried again until they ask or the daemon restarts."""
        entry.stopped, entry.interrupted = True, False
        name = entry.grant.name
        self.problem(entry, kind, f"{name}: {reason}", f"aixtiv refresh {name}, or aixtiv login {name}")

    async def _quarantine(self, entry: Entry, grant: Grant, reason: str) -> None:
        try:
            await self.adopt(entry, grant, put_aside(grant, reason))
        except Stale:
            return  # a newer sign-in came first
        entry.not_before, entry.interrupted = 0.0, False
        self.problem(entry, SignInNeeded, reason, f"aixtiv login {grant.name}")

    async def _unspent(self, entry: Entry) -> None:
        try:
            await self._vault.journal.forget(entry.grant.id)
        except StoreFailed as error:
            log.warning("intent-stays", account=entry.grant.name, detail=error.sentence)

    def problem(self, entry: Entry, kind: type[AixtivError], sentence: str, hint: str, *, tell: bool = True) -> None:
        """Keeps a failure for whoever asks, and tells it."""
        entry.problem = Problem(kind, sentence, hint, entry.not_before)
        if tell:
            self._tell("sign-in-needed" if kind is SignInNeeded else "failing", entry.grant, sentence)

    def _tell(self, event: Happening, grant: Grant, detail: str = "") -> None:
        self._events.tell(event, account=grant.name, detail=detail, expires_at=int(grant.expires_at))

    @staticmethod
    def _tries(grant: Grant) -> float:
        punishes = grant.client is not None and grant.client.quirks.punishes_reuse
        return states.tries(rotates=grant.rotates, punishes_reuse=punishes)


_OUTCOME: Final[dict[type[outcomes.Outcome], str]] = {
    outcomes.Granted: "refreshed",
    outcomes.Rotated: "refused",
    outcomes.TryAgain: "unreachable",
    outcomes.NeedsSignIn: "sign_in_needed",
    outcomes.Misconfigured: "misconfigured",
    outcomes.Refused: "refused",
}


def _before(entry: Entry, new: Grant) -> Row | None:
    """What `new` takes the place of on disk."""
    saved = entry.saved
    return replace(to_row(saved), last=saved.signed_in_at != new.signed_in_at) if saved else None


def of_one_sign_in(grant: Grant, other: Grant) -> bool:
    if grant.source is not None or other.source is not None:
        return (grant.source, grant.signed_in_at) == (other.source, other.signed_in_at)
    return grant.refresh_token == other.refresh_token


def _ended(grant: Grant, intent: Intent, reason: str) -> str:
    if intent.attempts > 1:
        return f"{grant.name}: the answer to an earlier refresh was lost, and the old refresh token no longer counts"
    return f"{grant.name}: the provider has ended this sign-in: {reason}"


def _lost(grant: Grant, attempts: int) -> str:
    return f"{grant.name}: the answers to {attempts} refreshes were lost, so the refresh token may have been spent"
