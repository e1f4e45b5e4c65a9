"""Who is told of an account in trouble, and when: a person once, on the desktop and by a hook, and not too often.

The accounts themselves are looked at, whatever was heard of them: an event only says that it is time for a look.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final, Protocol, cast

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from aixtiv_protocol.replies import Event
from aixtivd import log
from aixtivd.accounts.book import Book
from aixtivd.accounts.events import Events
from aixtivd.accounts.login import SignIns
from aixtivd.accounts.troubles import Kind, Trouble, body, title, troubles
from aixtivd.clock import Clock
from aixtivd.config import Config, HooksConfig
from aixtivd.errors import Locked, StoreFailed
from aixtivd.host import notices, program
from aixtivd.vault.notes import DamagedNote, decoded
from aixtivd.vault.vault import Vault

STARTING: Final = 30.0  # seconds after a start, an unlock or a sleep: refreshes are tried again, the network comes back
GATHER: Final = 2.0  # seconds in which what happens to several accounts becomes one notification…
AHEAD: Final = 60.0  # …and with it comes what would be told within this time
LOOK: Final = 300.0  # seconds between two looks while something is to come: the machine may sleep meanwhile
_BUSY: Final = 30.0  # seconds until the next look at an account that a person is signing in to
_HOOKS: Final = 4  # commands at once
_NOTE: Final = "notices"
_NOBODY: Final = -1.0  # the mark of what nobody heard


class Told(Struct, frozen=True, array_like=True):
    """That somebody was told, as the vault keeps it: a restart is no reason to tell it again."""

    id: bytes
    kind: str
    at: float
    mark: float


_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(tuple[Told, ...])


class Notify(Protocol):
    def __call__(self, title: str, body: str, *, stays: bool) -> Awaitable[None]: ...


Tell = Callable[[tuple[str, ...], bytes, float], Awaitable[None]]


class Notices:
    """`problem`: why the last notice or hook came to nothing, a sentence that names no account; empty: it did not."""

    def __init__(
        self,
        book: Book,
        sign_ins: SignIns,
        events: Events,
        vault: Vault,
        config: Config,
        clock: Clock,
        notify: Notify | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.problem = ""
        self._book = book
        self._sign_ins = sign_ins
        self._events = events
        self._vault = vault
        self._config = config
        self._clock = clock
        self._notify = notify or _notify
        self._tell = tell or _tell
        self._told: dict[tuple[bytes, str], Told] = {}
        self._loaded = False  # what the vault knows of that
        self._since: dict[str, float] = {}  # account -> steady; when its failing was first seen
        self._quiet_until = 0.0  # steady
        self._wake = anyio.Event()

    def reconfigure(self, config: Config) -> None:
        self._config = config
        self._wake.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled; a command that is running then is ended."""
        self._hush()
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._listen)
            task_status.started()
            while True:
                self._wake = wake = anyio.Event()
                await self._recall()
                due, nap = self._look()
                if due:
                    await self._clock.pause(anyio.Event(), GATHER)
                    due, _ = self._look()
                    self._announce(due, tasks)
                else:
                    await self._clock.pause(wake, nap)

    async def _listen(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        async with aclosing(cast("AsyncGenerator[Event, None]", self._events.watch())) as events:
            async for event in events:
                self._hear(event)

    def _hear(self, event: Event) -> None:
        match event.event:
            case "refreshed" | "signed-in":
                if self._since.pop(event.account, None) is None and event.event == "refreshed":
                    return  # it was well before: ten thousand of them are no reason to look
            case "locked":
                self._told, self._since, self._loaded = {}, {}, False
            case "unlocked" | "woke":
                self._since = {}
                self._hush()
            case "expires-soon" | "spilled" | "paying":
                return
            case _:
                pass
        self._wake.set()

    def _hush(self) -> None:
        self._quiet_until = self._clock.steady() + STARTING

    # What is to be told

    def _look(self) -> tuple[list[Trouble], float | None]:
        """What is to be told now, and in how many seconds something may be; None: nothing is to come."""
        planned = list(self._planned())
        due = [one for one, ripe_in, held in planned if ripe_in <= 0 and held <= 0]
        if due:
            due += [
                one
                for one, ripe_in, held in planned
                if 0 < ripe_in <= AHEAD and held <= 0 and one.kind != "sign-in-needed"
            ]
        nap = min((max(ripe_in, held) for _, ripe_in, held in planned), default=None)
        return due, None if nap is None else min(LOOK, max(0.0, nap))

    def _planned(self) -> Iterator[tuple[Trouble, float, float]]:
        """What nobody was told yet, with the seconds until it is ripe, and for which it is held back."""
        now = self._clock.steady()
        within = self._config.notices.expires_within * 60.0
        found = [one for entry in self._book for one in troubles(entry, self._clock, within)]
        self._since = {one.account: self._since.get(one.account, now) for one in found if one.kind == "failing"}
        for one in found:
            held = self._held(one)
            if held is None:
                continue
            ripe_in = one.ripe_in
            if one.kind == "failing":
                ripe_in = self._since[one.account] + self._config.notices.failing_after * 60.0 - now
            yield one, ripe_in, max(held, self._quiet_until - now)

    def _held(self, one: Trouble) -> float | None:
        """Seconds until it may be told; None: it was."""
        every = self._config.notices.every * 60.0
        told = self._told.get((one.id, one.kind))
        if told is not None and told.mark == one.mark:
            return None
        held = min(told.at + every - self._clock.wall(), every) if told else 0.0
        return max(held, _BUSY) if self._sign_ins.of(one.account) else held

    # Telling it

    def _announce(self, due: list[Trouble], tasks: TaskGroup) -> None:
        if not due:
            return
        due.sort(key=lambda one: (one.kind != "sign-in-needed", one.account))
        log.info("notice", accounts=len(due), kinds=" ".join(sorted({one.kind for one in due})))
        for one in due:
            self._told[one.id, one.kind] = Told(one.id, one.kind, self._clock.wall(), one.mark)
            if one.news:
                self._events.tell(
                    one.kind, account=one.account, detail=one.sentence, expires_at=one.expires_at, audited=False
                )
        tasks.start_soon(self._told_to_all, tuple(due))

    async def _told_to_all(self, due: tuple[Trouble, ...]) -> None:
        try:
            await self._deliver(due)
        except Exception as error:  # noqa: BLE001  # nothing that befalls a notice may end what serves tokens
            log.error("defect", exception=type(error).__name__, where=log.places(error))
            self.problem = "the last notice came to nothing by a defect; the daemon's log says where"
            self._tell_again(due)

    async def _deliver(self, due: tuple[Trouble, ...]) -> None:
        """What reached nobody is told again, but no sooner than anything is."""
        config = self._config
        wanted = {one for one in due if config.notices.desktop or _hook(config.hooks, one.kind)}
        reached: set[Trouble] = set()
        failures: list[str] = []
        why = await self._show(due) if config.notices.desktop else ""
        if config.notices.desktop and not why:
            reached = set(due)
        await self._run_hooks(config.hooks, due, reached, failures)
        if why and not wanted <= reached:
            failures.append(f"the last notice reached nobody: {why}")
        self.problem = failures[-1] if failures else ""
        self._tell_again(wanted - reached)
        await self._keep()

    def _tell_again(self, unheard: Iterable[Trouble]) -> None:
        for one in unheard:
            if told := self._told.get((one.id, one.kind)):
                self._told[one.id, one.kind] = msgspec.structs.replace(told, mark=_NOBODY)
                self._wake.set()

    async def _show(self, due: tuple[Trouble, ...]) -> str:
        """Why it was not shown; empty: it was."""
        try:
            await self._notify(title(due), body(due), stays=any(one.kind == "sign-in-needed" for one in due))
        except notices.NotShown as failure:
            log.warning("not-shown", reason=str(failure))
            return str(failure)
        return ""

    async def _run_hooks(
        self, hooks: HooksConfig, due: tuple[Trouble, ...], reached: set[Trouble], failures: list[str]
    ) -> None:
        """One command an account, a few at once. Adds whom it reached, and what went wrong."""
        waiting = iter([one for one in due if _hook(hooks, one.kind)])

        async def work() -> None:
            for one in waiting:
                if why := await self._run_hook(hooks, one):
                    failures.append(why)
                else:
                    reached.add(one)

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_HOOKS, len(due))):
                tasks.start_soon(work)

    async def _run_hook(self, hooks: HooksConfig, one: Trouble) -> str:
        """Why it came to nothing; empty: it did not."""
        command = _hook(hooks, one.kind)
        event = Event(
            event=one.kind,
            at=self._clock.wall(),
            account=one.account,
            detail=one.sentence,
            expires_at=one.expires_at,
        )
        said = msgspec.json.encode(msgspec.structs.asdict(event)) + b"\n"
        try:
            await self._tell(command, said, hooks.timeout)
        except program.Failed as failure:
            log.warning("hook-failed", hook=one.kind, account=one.account, reason=str(failure))
            return f"the hook for {one.kind}: {command[0]} {failure}"
        return ""

    # Across restarts

    async def _recall(self) -> None:
        if self._loaded or self._book.closed:
            return
        try:
            payload = await self._vault.notes.read(_NOTE)
            known = decoded(_unpack, payload, _NOTE) if payload else ()
        except (DamagedNote, StoreFailed, Locked) as failure:
            log.warning("notices-not-read", reason=failure.sentence)
            known = ()
        self._told = {(told.id, told.kind): told for told in known}
        self._loaded = True

    async def _keep(self) -> None:
        """Of the accounts that there are."""
        if not self._loaded or self._book.closed:
            return
        there = {entry.grant.id for entry in self._book}
        self._told = {key: told for key, told in self._told.items() if told.id in there}
        try:
            await self._vault.notes.write(_NOTE, _pack.encode(tuple(self._told.values())))
        except (StoreFailed, Locked) as failure:
            log.warning("notices-not-kept", reason=failure.sentence)


def _hook(hooks: HooksConfig, kind: Kind) -> tuple[str, ...]:
    match kind:
        case "sign-in-needed":
            return hooks.sign_in_needed
        case "failing":
            return hooks.failing
        case "expires-soon":
            return hooks.expires_soon


async def _notify(title: str, body: str, *, stays: bool) -> None:
    await notices.notify(title, body, stays=stays)


async def _tell(command: tuple[str, ...], said: bytes, seconds: float) -> None:
    await program.tell(command, said, seconds)
