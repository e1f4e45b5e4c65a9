"""Accounts whose answers a test holds back and lets go, and the socket in front of them, in this process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.lowlevel
from anyio._core._eventloop import set_current_async_library

from aixtiv_protocol import VERSION, codec, replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.access.rules import Rules
from aixtivd.accounts.book import Said
from aixtivd.clock import SystemClock
from aixtivd.config import Config
from aixtivd.errors import BadRequest, KeyFailed, Misconfigured, NoAccount, SignInFailed, StoreFailed, Unreachable
from aixtivd.host.address import BACKLOG
from aixtivd.ipc.dispatch import OPS, Dispatch
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.listener import Listener
from peers.relayed import Door, Drawer, Notes, Upstream

PATIENCE = 10.0  # seconds for anything that should happen at once, on a machine that may be busy


def access_token(name: str) -> replies.AccessToken:
    return replies.AccessToken(account=name, access_token=Secret(f"token-of-{name}"))


class Held:
    """A token of `fresh` is in memory; one of `slow…` comes when `let_go` is called; `broken` is a defect."""

    def __init__(self) -> None:
        self.asked: list[str] = []  # accounts whose token was waited for, as they come
        self.cancelled: list[str] = []
        self.events: anyio.Event = anyio.Event()  # set whenever one of the lists has grown
        self.go = anyio.Event()
        self.told = asyncio.Queue[replies.Event]()  # what `watch` hands on
        self.watchers = 0
        self.locked = False
        self.refuse_to_lock = 0  # so many times
        self.refreshes: dict[str, int] = {}
        self.failure: Exception | None = None  # that `watch` ends with
        self.calls: list[str] = []  # of lock and unlock, among those of the other parts

    def cached(self, asked: requests.Token) -> replies.AccessToken | None:
        return access_token(asked.account) if asked.account == "fresh" else None

    def said(self, asked: requests.Token, mode: codec.Mode, wall: float) -> Said | None:
        token = self.cached(asked)
        if token is None:
            return None
        bare = asked.form == "bare"
        data = codec.encode_bare(token.access_token, mode) if bare else codec.encode_reply(token, mode)
        return Said(token.account, data)

    async def token(self, asked: requests.Token) -> replies.AccessToken:
        if cached := self.cached(asked):
            return cached
        self._note(self.asked, asked.account)
        if asked.account == "broken":
            raise TypeError("a text that quotes hunter2")
        if asked.account == "unreachable":
            raise Unreachable("the provider cannot be reached")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self._note(self.cancelled, asked.account)
            raise
        return access_token(asked.account)

    def accounts(self, after: str = "") -> replies.AccountList:
        big = replies.Account(name="big", provider="x" * 30_000, kind="oauth", state="fresh")
        claude = replies.Account(name="claude", provider="x", kind="oauth", state="fresh")
        return replies.AccountList(accounts=(big, claude))

    def states(self, after: str = "", visible: Callable[[str], bool] = bool) -> Iterator[replies.Account]:
        return (one for one in self.accounts().accounts if not self.locked and one.name > after and visible(one.name))

    def known(self, name: str) -> bool:
        return name in {"big", "claude"}

    def near(self, name: str) -> str:
        return ""

    async def watch(self) -> AsyncIterator[replies.Event]:
        self.watchers += 1
        self.events.set()
        try:
            while True:
                event = await self.told.get()
                if event.event == "locked" and self.failure:
                    raise self.failure
                yield event
        finally:
            self.watchers -= 1
            self.events.set()

    async def lock(self, why: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self.refuse_to_lock:
            self.refuse_to_lock -= 1
            raise StoreFailed("the newest tokens are only in memory")
        self.locked = True
        self.calls.append("accounts.lock")

    async def unlock(self, asked: requests.Unlock) -> None:
        if asked.passphrase == Secret("slow"):
            self._note(self.asked, "unlock")
            await self.go.wait()
        elif asked.passphrase != Secret("right"):
            raise KeyFailed("that is not the passphrase")
        self.locked = False
        self.calls.append("accounts.unlock")

    async def login(self, asked: requests.Login) -> AsyncIterator[replies.Reply]:
        await anyio.lowlevel.checkpoint()
        _check(asked.account)
        if asked.source:
            yield replies.SignedIn(
                account=replies.Account(name=asked.account, provider="x", kind="command", state="fresh")
            )
            return
        yield replies.SignInStarted(account=asked.account, url="https://x/", redirect_uri="http://127.0.0.1:1/")
        raise SignInFailed("the person said no")

    async def refresh(self, asked: requests.Refresh) -> replies.Account:
        await anyio.lowlevel.checkpoint()
        return replies.Account(name=asked.account, provider="x", kind="oauth", state="fresh")

    async def logout(self, asked: requests.Logout) -> replies.LoggedOut:
        await anyio.lowlevel.checkpoint()
        if asked.account != "fresh":
            raise NoAccount(f"there is no account {asked.account}")
        return replies.LoggedOut(account=asked.account)

    def meant(self, name: str) -> str:
        return name or "claude"

    async def rename(self, asked: requests.Rename) -> replies.AccountChanged:
        await anyio.lowlevel.checkpoint()
        _check(asked.to)
        if asked.account != "claude":
            raise NoAccount(f"there is no account {asked.account}")
        return replies.AccountChanged(
            account=replies.Account(name=asked.to, provider="x", kind="oauth", state="fresh"), note=""
        )

    async def api_key(self, asked: requests.ApiKey) -> replies.Account:
        await anyio.lowlevel.checkpoint()
        _check(asked.account)
        return replies.Account(name=asked.account, provider="x", kind="api-key", state="static")

    def relayed(self, name: str, may: Callable[[str], bool] = bool) -> str:
        return name or "claude"

    async def examine(self, asked: requests.Examine) -> replies.Examined:
        await anyio.lowlevel.checkpoint()
        return replies.Examined(findings=(replies.Finding(name="token", ok=True, sentence="x", account=asked.account),))

    def let_go(self) -> None:
        self.go.set()

    async def until_asked(self, *names: str) -> None:
        await self.until(lambda: self.asked == list(names))

    async def until(self, reached: Any) -> None:
        with anyio.fail_after(PATIENCE):
            while not reached():
                await self.events.wait()
                self.events = anyio.Event()

    def _note(self, where: list[str], name: str) -> None:
        where.append(name)
        self.events.set()


def _check(name: str) -> None:
    if name.startswith("malformed"):
        raise BadRequest(f"{name} is no name")
    if name.startswith("quoted"):
        raise Misconfigured(f"{name!r} cannot be had")


class Controls:
    """The part of the daemon that `hello`, `status`, `reload` and `stop` reach."""

    restart = "restart it"

    def __init__(self) -> None:
        self.stopped = anyio.Event()

    def hello(self, asked: requests.Hello) -> replies.Welcome:
        return replies.Welcome(version=VERSION, protocol=1, ops=OPS)

    def status(self) -> replies.DaemonStatus:
        return replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False)

    async def reload(self) -> str:
        await anyio.lowlevel.checkpoint()
        return "reloaded"

    async def restart_now(self) -> str:
        await anyio.lowlevel.checkpoint()
        return "restarting"

    def stop(self) -> None:
        self.stopped.set()


class Side:
    """The daemon's side of the socket, as a test sees it."""

    listener: Listener
    dispatch: Dispatch

    def __init__(self, path: Path, accounts: Held, controls: Controls) -> None:
        self.path = path
        self.accounts = accounts
        self.controls = controls
        self.upstream = Upstream()
        self.notes = Notes()
        self.drawer = Drawer(self.notes)
        self.door = Door()
        accounts.calls = self.notes.calls

    async def until(self, reached: Callable[[], Any]) -> None:
        """For what nobody announces."""
        with anyio.fail_after(PATIENCE):
            while not reached():  # noqa: ASYNC110  # the daemon sets no event for tests
                await anyio.sleep(0.002)

    async def caller(self) -> "Caller":
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        return Caller(reader, writer)


@asynccontextmanager
async def serving(folder: Path, limits: Limits | None = None) -> AsyncIterator[Side]:
    """A real listener with real sessions and dispatch; at the end every conversation is over."""
    set_current_async_library("asyncio")  # anyio.run does it for the daemon: callbacks start tasks
    path = folder / "s.sock"
    accounts, controls = Held(), Controls()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(BACKLOG)
        async with anyio.create_task_group() as tasks:
            side = Side(path, accounts, controls)
            parts: dict[str, Any] = {
                "accounts": accounts,
                "relay": side.upstream,
                "gateway": side.door,
                "tickets": side.drawer,
                "audit": side.notes,
                "rules": Rules(Config()),
                "vault": None,
            }
            dispatch = Dispatch(**parts, control=controls, clock=SystemClock())
            listener = Listener(listening, dispatch, tasks, limits or Limits())
            tasks.start_soon(listener.run)
            side.listener, side.dispatch = listener, dispatch
            yield side
            listener.close()
            accounts.let_go()
            listener.finish()
            with anyio.fail_after(PATIENCE):
                await listener.empty()
            tasks.cancel_scope.cancel()


class Caller:
    """One connection, and what is said on it: requests, or any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._inbox = codec.Inbox()
        self._bodies: list[bytes] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def say(self, *asked: requests.Request) -> None:
        self.writer.write(b"".join(codec.encode_request(request) for request in asked))

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> replies.Reply | Secret:
        """The next reply in frames. Raises EOFError where the daemon has closed."""
        with anyio.fail_after(PATIENCE):
            while not self._bodies:
                if not (data := await self.reader.read(65536)):
                    raise EOFError
                self._inbox.feed(data)
                self._bodies += self._inbox.bodies()
        return codec.decode_reply(self._bodies.pop(0))

    async def line(self) -> str:
        with anyio.fail_after(PATIENCE):
            return (await self.reader.readline()).decode()

    async def rest(self) -> bytes:
        """All bytes until the daemon closes."""
        with anyio.fail_after(PATIENCE):
            return await self.reader.read()
