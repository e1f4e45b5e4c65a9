"""Tickets: local capabilities, each for one account, some verbs and a time, kept as hashes."""

import math
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Verb
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access import presence, shells
from aixtivd.access.audit import Audit
from aixtivd.access.bequest import packed, unpacked
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.access.presence import Gone, Presence
from aixtivd.access.ticket import PREFIX, PROGRAM, Held, Stored, Ticket, check_maker, digest, found, mint
from aixtivd.clock import Clock
from aixtivd.errors import BadRequest, Busy, Denied, Locked, NoAccount, StoreFailed, WrongVerb
from aixtivd.vault.notes import DamagedNote, decoded
from aixtivd.vault.vault import Vault

__all__ = ["PREFIX", "Held", "Tickets"]

MOST: Final = 1000
"""Tickets at once. Beyond, the oldest one with a time limit and no holder makes room (what `aixtiv claude-key` makes
every few minutes); where there is none, no more are made."""

_REMEMBERED: Final = 1000  # tickets that ended, so that whoever still shows one is told why
_LOOK: Final = 37.0  # seconds between two looks at the clock while anything expires: the machine may sleep (D9)
_NAME: Final = 100  # characters
_NOTE: Final = "tickets"  # the vault's
_ANOTHER: Final = "aixtiv ticket new ACCOUNT"

_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[tuple[Stored, ...]] = msgspec.msgpack.Decoder(tuple[Stored, ...])


class Tickets:
    """What has no holder is stored sealed and survives a restart; what a process holds lives in memory, as long as it.

    `ended`: each is called when a ticket ends, however it does.
    """

    def __init__(self, vault: Vault, audit: Audit, clock: Clock, watch: Presence | None = None) -> None:
        self.ended: list[Callable[[Held], None]] = []
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._presence = watch or Presence(clock)
        self._tickets: dict[bytes, Ticket] = {}  # by hash, in the order in which they were made
        self._past: dict[bytes, str] = {}  # hash -> why it ended
        self._loaded = False
        self._unsaved = False
        self._saving = anyio.Lock()  # a later save must not be overtaken by an earlier one
        self._changed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Ends what expires, and what its holder leaves behind. With nothing that can expire there is no timer."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._presence.run)
                task_status.started()
                while True:
                    self._prune()
                    await self._clock.pause(self._changed, self._next_look())
                    self._changed = anyio.Event()
        finally:
            self._presence.close()

    def _next_look(self) -> float | None:
        soonest = min((ticket.deadline for ticket in self._tickets.values()), default=math.inf)
        return None if soonest == math.inf else min(_LOOK, max(0.0, soonest - self._clock.steady()))

    def _prune(self) -> None:
        steady, wall = self._clock.steady(), self._clock.wall()
        for ticket in [ticket for ticket in self._tickets.values() if ticket.over(steady, wall)]:
            self._end(ticket, "it has expired")

    async def start(self) -> None:
        """After the vault was opened or unlocked: loads those that last. What cannot be trusted is not loaded."""
        async with self._saving:
            if not self._loaded:
                await self._load()
        if self._unsaved:
            await self._save_or_say()

    async def _load(self) -> None:
        try:
            payload = await self._vault.notes.read(_NOTE)
            known = decoded(_unpack, payload, _NOTE) if payload else ()
        except DamagedNote as failure:
            log.error("tickets-damaged", reason=failure.sentence)
            self._audit.note("ticket-end", DAEMON, ok=False, detail=failure.sentence)
            known = ()
        except StoreFailed as failure:
            log.error("tickets-not-read", reason=failure.sentence)
            return  # until the next unlock nothing is known of them
        steady, wall = self._clock.steady(), self._clock.wall()
        for stored in known:
            held = stored.held
            # Where the wall clock was set back meanwhile, a ticket does not live longer than it was made for.
            left = min(held.expires_at - wall, held.expires_at - held.made_at) if held.expires_at else math.inf
            if left > 0 and math.isfinite(held.made_at + held.expires_at):
                self._tickets.setdefault(stored.digest, Ticket(stored.digest, held, steady + left))
        self._loaded = True
        self._changed.set()

    def left(self) -> tuple[bytes, ...]:
        """Those that the vault does not keep, for the daemon that takes this one's place."""
        self._prune()
        return tuple(
            packed(ticket, self._presence.started(ticket.held.holder))
            for ticket in self._tickets.values()
            if ticket.held.holder or self._unsaved
        )

    async def inherit(self, left: Iterable[bytes]) -> None:
        """What the daemon before this one left. Whose holder has ended meanwhile, or cannot be told, has ended too."""
        for ticket, started in filter(None, map(unpacked, left)):
            if ticket.held.holder:
                ended = partial(self._end, ticket, "the process that held it has ended")
                try:
                    ticket.release = await self._presence.watch(ticket.held.holder, 0.0, ended, started or "unknown")
                except Gone:
                    self._past[ticket.digest] = "the process that held it ended while the daemon was restarted"
                    continue
            self._tickets.setdefault(ticket.digest, ticket)
        self._changed.set()

    @property
    def held(self) -> bool:
        """Whether there is any that ends with this daemon: its holder lives, or the vault does not keep it."""
        return any(ticket.held.holder or self._unsaved for ticket in self._tickets.values())

    async def make(self, asked: requests.Ticket, account: str, caller: Caller) -> tuple[Held, Secret]:
        """Raises BadRequest, Denied, Busy; for one that has no holder also Locked and StoreFailed.

        A time limit makes up for a store that cannot be written: such a ticket is good until the daemon ends.
        """
        _check(asked, caller)
        self._make_room()
        holder = await self._holder(asked, caller)
        secret, now = mint(), self._clock.wall()
        held = Held(
            id=self._new_id(),
            account=account,
            verbs=tuple(dict.fromkeys(asked.verbs)),
            name=asked.name,
            made_at=now,
            expires_at=now + asked.ttl if asked.ttl else 0.0,
            holder=holder,
            program=caller.program[:PROGRAM],
            executable=caller.executable,
            script=caller.script,
            unit=caller.unit,
            cgroup=caller.cgroup,
        )
        ticket = Ticket(digest(secret), held, self._clock.steady() + (asked.ttl or math.inf))
        if holder:
            await self._bind(ticket, asked, caller)
        self._tickets[ticket.digest] = ticket
        self._changed.set()
        if not holder:
            await self._store(ticket)
        return held, secret

    async def _holder(self, asked: requests.Ticket, caller: Caller) -> int:
        if asked.holder == "none":
            return 0
        if asked.holder == "caller":
            return _usable(caller.pid, "the process that asks")
        found = await anyio.to_thread.run_sync(presence.process, caller.pid) if caller.pid > 1 else None
        if found is None or (caller.since and not presence.began_before(found, caller.since)):
            raise BadRequest("the kernel does not say whose child this command is", hint=_lasting(asked))
        pid = _usable(found.parent, "the process that started this command")
        pid = await anyio.to_thread.run_sync(shells.shell_of, pid)
        parent = await anyio.to_thread.run_sync(presence.process, pid)
        if parent is None:
            raise BadRequest("the process that started this command cannot be seen", hint=_lasting(asked))
        if parent.uid != caller.uid:
            raise Denied(f"the process that started this command ({pid}) is another user's", hint=_lasting(asked))
        return pid

    async def _bind(self, ticket: Ticket, asked: requests.Ticket, caller: Caller) -> None:
        """The asking process must have been there when the conversation began; its parent, before that."""
        ended = partial(self._end, ticket, "the process that held it has ended")
        try:
            ticket.release = await self._presence.watch(ticket.held.holder, caller.since, ended)
        except Gone:
            raise Denied("the process that was to hold the ticket has ended", hint=_lasting(asked)) from None

    async def _store(self, ticket: Ticket) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._save()
        except StoreFailed as failure:
            if not ticket.held.expires_at:
                self._drop(ticket)
                raise
            log.warning("ticket-not-stored", ticket=ticket.held.id, reason=failure.sentence)
        except BaseException:
            self._drop(ticket)
            raise

    async def _save(self) -> None:
        """Raises Locked also where it was never loaded: it would be overwritten."""
        self._unsaved = True
        async with self._saving:
            if not self._loaded:
                raise Locked("the vault is locked, and with it the tickets that last", hint="aixtiv unlock")
            lasting = [Stored(one.digest, one.held) for one in self._lasting()]
            self._unsaved = False
            try:
                await self._vault.notes.write(_NOTE, _pack.encode(lasting))
            except BaseException:
                self._unsaved = True
                raise

    def _lasting(self) -> Iterator[Ticket]:
        return (ticket for ticket in self._tickets.values() if not ticket.held.holder)

    async def _save_or_say(self) -> None:
        try:
            await self._save()
        except (StoreFailed, Locked) as failure:
            log.error("tickets-not-stored", reason=failure.sentence)

    def _new_id(self) -> str:
        taken = {ticket.held.id for ticket in self._tickets.values()}
        return next(id_ for id_ in iter(lambda: secrets.token_hex(4), "") if id_ not in taken)

    def _make_room(self) -> None:
        self._prune()
        if len(self._tickets) < MOST:
            return
        for ticket in self._tickets.values():
            if ticket.held.expires_at and not ticket.held.holder:
                self._end(ticket, "newer ones took its place")
                return
        raise Busy(f"there are {MOST} tickets already", hint="aixtiv ticket list")

    def check(self, ticket: Secret, verb: Verb) -> Held:
        """Raises Denied, with a sentence that says why, or Locked: it may be one that has not been loaded yet."""
        wanted = digest(ticket)
        known = found(self._tickets, wanted)
        if known is None:
            raise self._refusal(wanted)
        steady, wall = self._clock.steady(), self._clock.wall()
        if known.over(steady, wall):
            self._end(known, "it has expired")
            raise self._refusal(wanted)
        if verb not in known.held.verbs:
            may = " and ".join(known.held.verbs)
            # Its account is not named: whoever shows it may be one who is told of none.
            raise WrongVerb(f"this ticket is good for {may}, not for {verb}", hint=f"{_ANOTHER} --verb {verb}")
        known.used_at = wall
        return known.held

    def _refusal(self, wanted: bytes) -> Denied | Locked:
        if wanted in self._past:
            return Denied(f"that ticket is no longer good: {self._past[wanted]}", hint=_ANOTHER)
        if not self._loaded:
            return Locked("the vault is locked, and with it the tickets that last")
        return Denied("that is no ticket of this daemon's", hint="aixtiv ticket list")

    def of(self, word: str) -> tuple[Held, ...]:
        """Those that `revoke` would end."""
        tickets = [ticket.held for ticket in self._tickets.values()]
        return tuple(held for held in tickets if held.id == word) or tuple(
            h for h in tickets if word and h.name == word
        )

    def unknown(self, word: str) -> NoAccount:
        """What is said where nothing can be revoked by that word."""
        return NoAccount(f"there is no ticket {word!r}", hint="aixtiv ticket list")

    def shown(self) -> tuple[replies.TicketShown, ...]:
        self._prune()
        return tuple(ticket.shown() for ticket in self._tickets.values())

    async def revoke(self, word: str) -> int:
        """By id, else by name: how many. They are over at once, also where the store cannot be told so (StoreFailed:
        then one that lasts may come back with the next daemon). Raises NoAccount, and Locked before it ends any.
        """
        meant = self.of(word)
        named = [one for one in self._tickets.values() if one.held in meant]
        if not named:
            if not self._loaded:
                raise Locked("the vault is locked, and with it the tickets that last")
            raise self.unknown(word)
        stored = any(not ticket.held.holder for ticket in named)
        if stored and self._vault.locked:
            raise Locked("the vault is locked, and what it holds cannot be revoked in it")
        for ticket in named:
            self._end(ticket, "it was revoked", audited=False)
        if stored:
            await self._save_revoked()
        return len(named)

    @asynccontextmanager
    async def renaming(self, account: str, to: str) -> AsyncIterator[dict[str, bytes]]:
        """While an account gets another name: the note that goes into the store with it, if one is to.

        Left without a failure, its tickets are good for the account under its new name.
        """
        async with self._saving:
            if not self._loaded:
                raise Locked("the tickets that last could not be read, and would be left behind", hint="aixtiv status")
            theirs = [one for one in self._tickets.values() if one.held.account == account]
            renamed = {one.digest: msgspec.structs.replace(one.held, account=to) for one in theirs}
            lasting = [Stored(one.digest, renamed.get(one.digest, one.held)) for one in self._lasting()]
            yield {_NOTE: _pack.encode(lasting)} if any(not one.held.holder for one in theirs) else {}
            for one in self._tickets.values():  # also what was made meanwhile
                if one.held.account == account:
                    one.held = msgspec.structs.replace(one.held, account=to)

    async def _save_revoked(self) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._save()
        except StoreFailed as failure:
            sentence = f"it is over, but the store does not know it yet: {failure.sentence}"
            raise StoreFailed(sentence, hint=failure.hint) from None

    def _end(self, ticket: Ticket, why: str, *, audited: bool = True) -> None:
        """A revocation is audited where it was asked for, with who asked."""
        if not self._drop(ticket):
            return
        self._past[ticket.digest] = why
        while len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]
        if audited:
            about = msgspec.structs.replace(DAEMON, ticket=ticket.held.id)
            self._audit.note("ticket-end", about, account=ticket.held.account, detail=why)
        log.info("ticket-ended", ticket=ticket.held.id, account=ticket.held.account, why=why)
        _tell(self.ended, ticket.held)

    def _drop(self, ticket: Ticket) -> bool:
        if self._tickets.pop(ticket.digest, None) is None:
            return False
        if ticket.release is not None:
            ticket.release()
        return True

    def opened(self, id_: str, port: int) -> None:
        """The gateway listens on `port` for this ticket."""
        for ticket in self._tickets.values():
            if ticket.held.id == id_:
                ticket.port = port


def _check(asked: requests.Ticket, caller: Caller) -> None:
    if caller.ticket:
        raise Denied("with a ticket no other ticket can be made")
    if not asked.verbs:
        raise BadRequest("a ticket has to be good for something: relay, token")
    if len(asked.name) > _NAME or not asked.name.isprintable():
        raise BadRequest(f"the name of a ticket is one line of up to {_NAME} characters")
    check_maker(caller)


def _usable(pid: int, who: str) -> int:
    """Process 1 never ends, and 0 is how the kernel says that it knows none."""
    if pid > 1:
        return pid
    which = "is process 1, which never ends" if pid == 1 else "cannot be seen from here"
    raise BadRequest(f"{who} {which}, so the ticket could not end with it", hint="aixtiv ticket new --lasting")


def _lasting(asked: requests.Ticket) -> str:
    account = asked.account
    return f"aixtiv ticket new {account} --lasting" if account else "aixtiv ticket new --lasting"


def _tell(ended: Iterable[Callable[[Held], None]], held: Held) -> None:
    for call in ended:
        try:
            call(held)
        except Exception as error:  # noqa: BLE001  # one listener's defect must not keep the others from hearing it
            log.error("defect", exception=type(error).__name__, where="ticket-ended")
