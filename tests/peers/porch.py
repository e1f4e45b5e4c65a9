"""The gateway in this process, opposite callers whose bytes a test decides: relay, tickets, audit are stand-ins."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, cast

import anyio
from msgspec import Struct

from aixtiv_protocol import replies
from aixtiv_protocol.requests import Headers, Verb
from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.tickets import PREFIX, Held, Tickets
from aixtivd.config import ClaudeConfig, Config
from aixtivd.errors import Denied, Locked, WrongVerb
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.gateway import SOCKET, Gateway
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.relay import Relay

PATIENCE: Final = 20.0
GOOD: Final = f"{PREFIX}good"


class Said(Struct, frozen=True):
    """An upstream's answer. `steps`: pieces; what is called is awaited between them, and may raise."""

    status: int = 200
    reason: str = "OK"
    headers: Headers = (("content-type", "application/json"), ("content-length", "2"))
    steps: tuple[bytes | Callable[[], Any], ...] = (b"{}",)
    note: str = ""
    reads: bool = True  # the body first, as an ordinary server does


class Desk:
    """Stands for `Relay`: records calls with their bodies, and answers as a test says."""

    def __init__(self) -> None:
        self.said: Said | Exception = Said()
        self.calls: list[Call] = []
        self.bodies: list[bytes] = []
        self.begun = anyio.Event()
        self.ended = anyio.Event()  # some call is over, however it ended
        self.cancelled = 0
        self.open = 0

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Answer]:
        self.calls.append(call)
        self.begun.set()
        self.open += 1
        try:
            said = self.said
            if isinstance(said, Exception):
                raise said
            if said.reads:
                self.bodies.append(b"".join([piece async for piece in call.body]))
            yield Answer(
                status=said.status,
                reason=said.reason,
                headers=said.headers,
                pieces=_pieces(said),
                account="anthropic",
                kind="oauth",
                note=said.note,
            )
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1
            self.ended.set()


async def _pieces(said: Said) -> AsyncIterator[bytes]:
    for step in said.steps:
        if isinstance(step, bytes):
            yield step
        else:
            await step()


class Counter:
    """Stands for `Tickets`."""

    def __init__(self) -> None:
        self.ended: list[Callable[[Held], None]] = []
        self.tickets = {GOOD: Held(id="t1", account="anthropic/work", verbs=("relay",), program="/bin/holder")}
        self.ports: dict[str, int] = {}
        self.locked = False

    def add(self, id_: str, *, verbs: tuple[Verb, ...] = ("relay",), account: str = "anthropic") -> str:
        self.tickets[PREFIX + id_] = Held(id=id_, account=account, verbs=verbs)
        return PREFIX + id_

    def check(self, ticket: Secret, verb: Verb) -> Held:
        if self.locked:
            raise Locked
        if (held := self.tickets.get(ticket.reveal())) is None:
            raise Denied("that is no ticket of this daemon's", hint="aixtiv ticket list")
        if verb not in held.verbs:
            raise WrongVerb(f"this ticket is good for token, not for {verb}", hint="aixtiv ticket new")
        return held

    def shown(self) -> tuple[replies.TicketShown, ...]:
        return tuple(replies.TicketShown(id=h.id, account=h.account, verbs=h.verbs) for h in self.tickets.values())

    def opened(self, id_: str, port: int) -> None:
        self.ports[id_] = port

    def end(self, id_: str) -> None:
        for secret, held in list(self.tickets.items()):
            if held.id == id_:
                del self.tickets[secret]
                for call in self.ended:
                    call(held)


class Book:
    """Stands for `Audit`."""

    def __init__(self) -> None:
        self.denied: list[tuple[Caller, str]] = []

    def note(self, what: str, caller: Caller, *, ok: bool = True, detail: str = "", **_: Any) -> None:
        assert (what, ok) == ("denied", False)
        self.denied.append((caller, detail))


class Porch:
    def __init__(self, folder: Path, bounds: Bounds, port: int) -> None:
        self.desk = Desk()
        self.tickets = Counter()
        self.book = Book()
        self.config = Config(claude=ClaudeConfig(port=port))
        self.path = folder / "run" / SOCKET
        self.gateway = Gateway(
            cast("Relay", self.desk), cast("Tickets", self.tickets), cast("Audit", self.book), self.config, bounds
        )

    async def caller(self, port: int = 0) -> "Wire":
        """A connection: to the Unix socket, or to a port."""
        if port:
            return Wire(*await asyncio.open_connection("127.0.0.1", port), port)
        return Wire(*await asyncio.open_unix_connection(str(self.path)), 0)

    async def ask(self, request: bytes, port: int = 0) -> "Heard":
        """One request on a connection of its own."""
        async with await self.caller(port) as wire:
            wire.say(request)
            return await wire.hear()


@asynccontextmanager
async def porch(folder: Path, bounds: Bounds | None = None, *, port: int = 0) -> AsyncIterator[Porch]:
    made = Porch(folder, bounds or Bounds(), port)
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.gateway.run, made.path)
        try:
            yield made
        finally:
            tasks.cancel_scope.cancel()


class Heard(Struct, frozen=True):
    """`status` 0: the connection was closed without a word. `whole`: the answer came to its end."""

    status: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    whole: bool = False

    def all(self, name: str) -> list[str]:
        return [value for named, value in self.headers if named.lower() == name]

    @property
    def error(self) -> tuple[str, str]:
        """Type and message, in Claude's words."""
        told = json.loads(self.body)
        assert told["type"] == "error", told
        return told["error"]["type"], told["error"]["message"]


class Wire:
    """One connection of a caller. A head is taken apart by hand: nothing may be hidden by a library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.reader = reader
        self.writer = writer
        self.port = port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self, *, head: bool = False) -> Heard:
        """One answer. `head`: it is to a HEAD request."""
        async with asyncio.timeout(PATIENCE):
            return await self._hear(head=head)

    async def _hear(self, *, head: bool) -> Heard:
        heard = await self.hear_head()
        if head or heard.status in {0, 100, 204, 304}:
            return Heard(heard.status, heard.reason, heard.headers, b"", heard.status != 0)
        body = bytearray()
        whole = False
        try:
            if lengths := heard.all("content-length"):
                body += await self.reader.readexactly(int(lengths[0]))
                whole = True
            else:
                assert heard.all("transfer-encoding") == ["chunked"], heard.headers
                while piece := await self.hear_chunk():
                    body += piece
                whole = True
        except asyncio.IncompleteReadError as error:
            body += error.partial
        except ConnectionError:
            pass
        return Heard(heard.status, heard.reason, heard.headers, bytes(body), whole)

    async def hear_head(self) -> Heard:
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Heard()
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = tuple((name, value[1:]) for name, _, value in (line.partition(":") for line in lines))
        return Heard(int(status), reason, pairs)

    async def hear_chunk(self) -> bytes:
        """Empty: the last one."""
        size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def closed(self) -> bool:
        """Waits until the gateway hangs up; False where it still says something."""
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self.reader.read()
            except ConnectionError:
                return True


def get(target: str = "/v1/models", *headers: str, host: str = "localhost", method: str = "GET") -> bytes:
    lines = (f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(body: bytes = b"{}", *headers: str, target: str = "/v1/messages", host: str = "localhost") -> bytes:
    return get(target, f"Content-Length: {len(body)}", *headers, host=host, method="POST") + body


def bearer(ticket: str = GOOD) -> str:
    return f"Authorization: Bearer {ticket}"
