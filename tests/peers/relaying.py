"""What stands around a relay under test: bodies that come as a test says, and credentials and audit that are lists.

Which credential pays is decided by the accounts, and tested there; here it is the input.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol, cast

from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.rules import Rules
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.service import Accounts
from aixtivd.config import ApiConfig, Config
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.relay import Relay

CALLER = Caller(uid=1000, pid=4711, program="/usr/bin/tool")
VERSION = ("anthropic-version", "2023-06-01")
JSON = ("Content-Type", "application/json")
HELLO = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}'
STREAM = HELLO[:-1] + b',"stream":true}'


def token(number: int = 1, **changed: Any) -> Credential:
    known: dict[str, Any] = {
        "account": "anthropic",
        "provider": "anthropic",
        "form": "token",
        "kind": "oauth",
        "secret": Secret(f"sk-ant-oat01-{number}"),
        "generation": number,
    }
    return Credential(**(known | changed))


def key(number: int = 1, **changed: Any) -> Credential:
    """Of the account; with `generation=0` the caller's own."""
    made: dict[str, Any] = {"form": "api-key", "kind": "api-key", "secret": Secret(f"sk-ant-api03-{number}")}
    return token(number, **(made | {"note": "an API key pays"} | changed))


class Purse:
    """Stands for `Accounts`: what it hands out, in order, the last one for ever. An exception is raised."""

    def __init__(self, *things: Credential | Exception) -> None:
        self.things = list(things)
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[str, int]] = []  # what was reported: which secret, and the status it drew
        self.names: set[str] = set()  # of accounts; empty: every word but one is
        self.when_refused: Callable[[], None] | None = None

    def relayed(self, name: str, may: Callable[[str], bool] = bool) -> str:
        return name or "anthropic"

    def known(self, name: str) -> bool:
        return name in self.names if self.names else name != "mistyped"

    def answered(self, credential: Credential, status: int) -> None:
        self.answers.append((credential.secret.reveal(), status))

    async def credential(self, name: str, **asked: Any) -> Credential:
        self.asked.append({"name": name} | asked)
        if asked["refused"] and self.when_refused:
            self.when_refused()
        await asyncio.sleep(0)
        thing = self.things.pop(0) if len(self.things) > 1 else self.things[0]
        if isinstance(thing, Exception):
            raise thing
        return thing

    @property
    def refused(self) -> list[str]:
        """The secrets that came back as refused, in order."""
        return [asked["refused"].secret.reveal() for asked in self.asked if asked["refused"]]


class Ledger:
    """Stands for `Audit`."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def note(self, what: str, caller: Caller, **facts: Any) -> None:
        self.records.append({"what": what, "caller": caller} | facts)

    def admit(self) -> None:
        """Whatever is handed out can be recorded."""

    @property
    def last(self) -> dict[str, Any]:
        return self.records[-1]


class Pieces:
    """A caller's body. An Event among the pieces is waited for, an exception raised."""

    def __init__(self, *pieces: bytes | asyncio.Event | Exception, length: int | Literal["sum"] | None = "sum") -> None:
        self.length = sum(len(piece) for piece in pieces if isinstance(piece, bytes)) if length == "sum" else length
        self.taken = 0  # pieces that were asked for
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                self.taken += 1
                yield piece


def called(method: str = "GET", path: str = "/v1/models", *headers: tuple[str, str], **changed: Any) -> Call:
    body = changed.pop("body", b"")
    given = Pieces(body) if isinstance(body, bytes) else body
    known: dict[str, Any] = {"method": method, "path": path, "headers": headers, "body": given, "caller": CALLER}
    return Call(**(known | changed))


def hello(**changed: Any) -> Call:
    """A message, as an SDK sends it."""
    return called("POST", changed.pop("path", "/v1/messages"), VERSION, JSON, **({"body": HELLO} | changed))


class Seen:
    """An answer that was read to its end."""

    def __init__(self, answer: Answer, body: bytes) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.kind = answer.kind
        self.note = answer.note
        self.body = body


class Around(Protocol):
    """A relay, and what it was built of."""

    relay: Relay
    purse: Purse
    ledger: Ledger

    async def get(self, call: Call) -> Seen: ...


class _Around:
    def __init__(self, purse: Purse, config: Config) -> None:
        self.purse = purse
        self.ledger = Ledger()
        accounts, audit = cast("Accounts", purse), cast("Audit", self.ledger)
        self.relay = Relay(accounts, audit, config, Rules(config))

    async def get(self, call: Call) -> Seen:
        async with self.relay.call(call) as answer:
            return Seen(answer, b"".join([piece async for piece in answer.pieces]))


@asynccontextmanager
async def relaying(url: str, *things: Credential | Exception, **config: Any) -> AsyncIterator[Around]:
    """To the API at `url`. `things`: what the purse holds; nothing: a token that never changes."""
    settings = Config(**({"api": {"anthropic": ApiConfig(origin=url)}} | config))
    around = _Around(Purse(*(things or (token(),))), settings)
    try:
        yield around
    finally:
        await around.relay.aclose()
