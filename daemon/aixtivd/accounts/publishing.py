"""Files in which tools find a token: written with each new generation, and gone with a lock, a sign-out and the end.

What was written is remembered in a list beside the store (paths, and hashes of contents), so that what a crash left
is found again, and nothing else is ever replaced or removed.
"""

import threading
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final, cast

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus
from msgspec import Struct

from aixtiv_protocol.replies import Event
from aixtivd import log
from aixtivd.access.rules import fits
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.events import Events
from aixtivd.config import Config, Publish
from aixtivd.config.template import fill
from aixtivd.host import deposit
from aixtivd.host.deposit import Unsuitable
from aixtivd.vault.vault import Vault

LIST: Final = "published"
_PATIENCE: Final = 5.0  # seconds that a lock, a sign-out or the end waits for a disk of tools
_NEWS: Final = frozenset({"signed-in", "refreshed", "logged-out", "renamed", "reinstated", "locked", "unlocked"})
_LATE: Final = "files in which tools find tokens: their disk does not answer"

Marks = dict[str, tuple[str, ...]]
_unpack = msgspec.json.Decoder(dict[str, tuple[str, ...]])


class Leaf(Struct, frozen=True):
    """What is to stand in one file."""

    account: str
    path: Path
    data: bytes

    def __repr__(self) -> str:
        return f"Leaf({self.path})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("path", self.path)]


class Publishing:
    """`problem`: why a file is not as it should be, a sentence that names no account; empty: all are."""

    def __init__(self, book: Book, events: Events, vault: Vault, config: Config) -> None:
        self.config = config
        self.problem = ""
        self._book = book
        self._events = events
        self._vault = vault
        self._list = vault.path.parent / LIST
        self._marks: Marks | None = None  # path -> of what was put there; None: not read yet
        self._leaves: tuple[Leaf, ...] = ()  # what is to be there, as of the last time that it was asked
        self._laying = threading.Lock()
        self._written: list[Leaf] = []  # and in no record yet
        self._over = False
        self._wake = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled. What a crash left behind a vault that starts locked goes first."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._listen)
            if self._vault.locked:
                await self.align()
            task_status.started()
            while True:
                await self._wake.wait()
                self._wake = anyio.Event()
                await self.align()

    async def _listen(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        async with aclosing(cast("AsyncGenerator[Event, None]", self._events.watch())) as events:
            async for event in events:
                if event.event in _NEWS:
                    self._wake.set()

    def reconfigure(self, config: Config) -> None:
        self.config = config
        self.wake()

    def wake(self) -> None:
        """Soon, every file is looked at."""
        self._wake.set()

    async def withdraw(self) -> None:
        """At the end: nobody would keep them fresh."""
        self._over = True
        await self.align()

    async def align(self) -> None:
        """Every file as it has to be now; where their disk does not answer in time, as soon as it does.

        Raises nothing: no token, lock or sign-out waits long for a disk of tools.
        """
        if self._marks == {} and not any(account.publish for account in self.config.account.values()):
            self.problem = ""
            return
        leaves, problems = self._wanted()
        self._leaves = tuple(leaves)
        laid = [_LATE]
        with anyio.move_on_after(_PATIENCE, shield=True):
            laid = await anyio.to_thread.run_sync(self._lay_newest, abandon_on_cancel=True)
        while self._written:
            self._events.published(self._written.pop().account)
        problems += laid
        if problems and problems[0] != self.problem:
            log.warning("not-published", reason=problems[0])
        self.problem = problems[0] if problems else ""

    def _wanted(self) -> tuple[list[Leaf], list[str]]:
        leaves: list[Leaf] = []
        problems: list[str] = []
        for name, account in self.config.account.items():
            entry = None if self._over else self._book.find(name)  # while locked there is none
            if account.publish is None or entry is None:
                continue
            path = Path(account.publish.path).expanduser()
            if why := self._why_not(entry):
                problems.append(f"{path}: {why}")
            else:
                leaves.append(Leaf(name, path, content(account.publish, entry)))
        return leaves, problems

    def _why_not(self, entry: Entry) -> str:
        """What may not stand in a file."""
        grant = entry.grant
        if any(fits(pattern, grant.name) for pattern in self.config.access.relay_only):
            return "its account is relay-only, whose token is shown to nobody"
        if grant.access_token is None:
            return "its account is an API key, which would be good for ever in a file that is left behind"
        if not grant.lifetime:
            return "its account's token never ends, and would be good for ever in a file that is left behind"
        return ""

    def _lay_newest(self) -> list[str]:
        """Blocking. Whoever is at it also sees to what is asked for meanwhile, and was not waited for."""
        if not self._laying.acquire(timeout=_PATIENCE):
            return [_LATE]
        try:
            while True:
                leaves = self._leaves
                problems = self._lay(leaves)
                if leaves is self._leaves:
                    return problems
        finally:
            self._laying.release()

    def _lay(self, leaves: Collection[Leaf]) -> list[str]:
        if self._marks is None:
            self._marks = self._read()
        marks = self._marks
        problems: list[str] = []
        for gone in marks.keys() - {str(leaf.path) for leaf in leaves}:
            try:
                deposit.take(Path(gone), marks[gone])
            except (Unsuitable, OSError) as why:
                problems.append(str(why))
            else:
                marks = {path: was for path, was in marks.items() if path != gone}
        for leaf in leaves:
            try:
                marks = self._put(leaf, marks)
            except (Unsuitable, OSError) as why:
                problems.append(str(why))
        try:
            self._keep(marks)
        except (Unsuitable, OSError) as why:
            problems.append(str(why))
        return problems

    def _put(self, leaf: Leaf, marks: Mapping[str, tuple[str, ...]]) -> Marks:
        """The list first: what is killed in between is known as ours."""
        path, new = str(leaf.path), deposit.mark(leaf.data)
        before = marks.get(path, ())
        if new not in before:
            self._keep({**marks, path: (*before, new)[-3:]})
        if deposit.put(leaf.path, leaf.data, (*before, new)):
            self._written.append(leaf)
        return {**marks, path: (new,)}

    def _read(self) -> Marks:
        try:
            return _unpack.decode(self._list.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError):
            log.warning("not-published", reason=f"{self._list} cannot be read: what it named is left as it is")
            return {}

    def _keep(self, marks: Marks) -> None:
        """Raises Unsuitable: then nothing may be written that would not be found again."""
        if marks == self._marks:
            return
        data = msgspec.json.encode(marks)
        there = deposit.read(self._list)
        deposit.put(self._list, data, [] if there is None else [deposit.mark(there)])
        self._marks = marks


def content(publish: Publish, entry: Entry) -> bytes:
    """What a tool reads. Never a refresh token."""
    grant = entry.grant
    assert grant.access_token is not None
    token, ends = grant.access_token.reveal(), int(grant.expires_at)
    if publish.format == "bare":
        return token.encode() + b"\n"
    if publish.format == "anthropic":
        tree = {"version": "1.0", "type": "oauth_token", "access_token": token, "expires_at": ends}
        return msgspec.json.encode(tree) + b"\n"
    from datetime import UTC, datetime  # noqa: PLC0415  # only here

    facts = {
        "access_token": token,
        "expires_at": str(ends),
        "expires_at_iso": datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "token_type": grant.token_type,
        "account": grant.name,
    }
    return fill(publish.template, facts).encode() + b"\n"
