"""What stands behind the socket beside the accounts: a relay, tickets and an audit log that a test holds, and reads."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller
from aixtivd.access.tickets import Held
from aixtivd.errors import AixtivError, Denied, NoAccount, Unreachable
from aixtivd.relay.call import Answer, Call

GOOD: Final = Secret("aixtiv-ticket-good")  # for `claude`, both verbs


class NoDenials:
    """Nobody was turned away."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()


class Upstream:
    """A relay whose calls do what the last part of their path says.

    `echo` reads the whole body and answers with it · `early` answers and reads nothing · `waits` reads nothing until
    `go` · `endless` answers without end · `hangs` gives a head and then nothing · `fails` before its head · `breaks`
    after it · `overloaded` answers with more header than can be handed on.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.begun = 0
        self.statuses: dict[str, int] = {}
        self.denials = NoDenials()
        self.busy = False
        self.cuts: list[AixtivError] = []
        self.left: list[str] = []  # paths of calls that are over, however they ended
        self.read: list[bytes] = []  # pieces of bodies, as they came
        self.told = 0  # pieces of answers that were asked for
        self.failures: list[Exception] = []  # that a body ended with
        self.go = anyio.Event()
        self.changed = anyio.Event()

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Answer]:
        self.calls.append(call)
        self._note()
        try:
            yield await self._answer(call)
        finally:
            self.left.append(call.path)
            self._note()

    async def cut(self, failure: AixtivError) -> None:
        await anyio.lowlevel.checkpoint()
        self.cuts.append(failure)

    async def _answer(self, call: Call) -> Answer:
        status, headers = 200, (("request-id", "req_1"),)
        match call.path.rpartition("/")[2]:
            case "echo":
                await self._take(call)
                pieces = self._given([b"".join(self.read)])
            case "early":
                status, pieces = 413, self._given([b"too large"])
            case "waits":
                await self.go.wait()
                await self._take(call)
                pieces = self._given([str(sum(map(len, self.read))).encode()])
            case "endless":
                pieces = self._endless()
            case "hangs":
                pieces = self._silent()
            case "breaks":
                pieces = self._given([b"half an "], Unreachable("the API broke off"))
            case "overloaded":
                headers, pieces = (("x", "y" * 70_000),), self._given([])
            case _:
                raise Unreachable("api.example cannot be reached")
        return Answer(
            status=status, reason="", headers=headers, pieces=pieces, account=call.account or "claude", kind="oauth"
        )

    async def _take(self, call: Call) -> None:
        try:
            async for piece in call.body:
                self.read.append(piece)
                self._note()
        except Exception as error:
            self.failures.append(error)
            raise

    async def _given(self, pieces: list[bytes], failure: Exception | None = None) -> AsyncIterator[bytes]:
        for piece in pieces:
            await anyio.lowlevel.checkpoint()
            yield piece
        if failure:
            raise failure

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.lowlevel.checkpoint()
            self.told += 1
            yield b"x" * 200_000

    async def _silent(self) -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    async def until(self, reached: Callable[[], Any]) -> None:
        with anyio.fail_after(10):
            while not reached():
                await self.changed.wait()
                self.changed = anyio.Event()

    def _note(self) -> None:
        self.changed.set()


class Notes:
    """An audit log in a list. It can be written."""

    stopped = False

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.locks = False  # or may, now

    def note(self, what: str, caller: Caller, *, ok: bool = True, account: str = "", detail: str = "") -> None:
        self.notes.append({"what": what, "caller": caller, "ok": ok, "account": account, "detail": detail})

    def token(self, caller: Caller, account: str, at: float) -> None:
        self.note("token", caller, account=account)

    def admit(self) -> None:
        """Whatever is handed out can be recorded."""

    def said(self) -> list[tuple[str, bool, str, str]]:
        return [(note["what"], note["ok"], note["account"], note["detail"]) for note in self.notes]

    @contextmanager
    def locking(self) -> Iterator[None]:
        self.locks = True
        try:
            yield
        finally:
            self.locks = False

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.calls.append("audit.flush")

    async def unlocked(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.calls.append("audit.unlocked")

    async def records(self, asked: requests.Audit) -> AsyncIterator[replies.AuditRecord]:
        for number in range(1, 1 + min(3, asked.limit)):
            await anyio.lowlevel.checkpoint()
            yield replies.AuditRecord(number=number, at=1.0, what="token", account=asked.account)

    async def verify(self) -> replies.AuditVerdict:
        await anyio.lowlevel.checkpoint()
        return replies.AuditVerdict(intact=True, records=3)

    async def usage(self, asked: requests.Usage) -> replies.UsageReport:
        await anyio.lowlevel.checkpoint()
        return replies.UsageReport(rows=(), since=asked.since)


class Drawer:
    """Tickets: `GOOD` is one for `claude`."""

    def __init__(self, notes: Notes) -> None:
        self.held = Held(id="t1", account="claude", verbs=("relay", "token"))
        self.ended: list[Callable[[Held], None]] = []
        self.made: list[tuple[requests.Ticket, str, Caller]] = []
        self.revoked: list[str] = []
        self._calls = notes.calls

    def check(self, ticket: Secret, verb: str) -> Held:
        if ticket != GOOD:
            raise Denied("that is no ticket of this daemon's")
        return self.held

    async def make(self, asked: requests.Ticket, account: str, caller: Caller) -> tuple[Held, Secret]:
        await anyio.lowlevel.checkpoint()
        self.made.append((asked, account, caller))
        return Held(id="t2", account=account, verbs=asked.verbs, expires_at=9.5 if asked.ttl else 0.0), GOOD

    def shown(self) -> tuple[replies.TicketShown, ...]:
        return (replies.TicketShown(id="t1", account="claude", verbs=("relay", "token")),)

    async def revoke(self, word: str) -> int:
        await anyio.lowlevel.checkpoint()
        if word not in {"t1", "t2", "twins"}:
            raise NoAccount(f"there is no ticket {word!r}")
        self.revoked.append(word)
        return 2 if word == "twins" else 1

    async def start(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._calls.append("tickets.start")

    def end(self) -> None:
        """`GOOD` is good no longer."""
        for call in self.ended:
            call(self.held)


class Door:
    """A gateway: its ports count up, and one that is held back opens when `go` is set."""

    def __init__(self) -> None:
        self.path: Path | None = Path("/run/claude.sock")
        self.port = 0
        self.denials = NoDenials()
        self.held_back = False
        self.opening: list[str] = []
        self.go = anyio.Event()

    async def open_port(self, id_: str) -> int:
        self.opening.append(id_)
        if self.held_back:
            await self.go.wait()
        return 40_000 + len(self.opening)
