"""JSON-RPC messages as the bridge sees them: passed on as they came, and read only for what has to be known of them."""

import base64
import re
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

LIMIT: Final = 32 << 20
"""Bytes of one message at most, either way: a picture fits, and a server that never ends its message is stopped."""

OFFLINE: Final = -32000  # JSON-RPC 2.0 §5.1: of what a server may define
INVALID: Final = -32600
PARSE: Final = -32700

_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")

_VERSION: Final = "io.modelcontextprotocol/protocolVersion"


class _Meta(Struct, frozen=True):
    version: str = msgspec.field(default="", name=_VERSION)


class _Params(Struct, frozen=True):
    meta: _Meta = msgspec.field(default_factory=_Meta, name="_meta")
    name: str = ""
    uri: str = ""
    request_id: Raw = msgspec.field(default=Raw(), name="requestId")


class _Result(Struct, frozen=True):
    version: str = msgspec.field(default="", name="protocolVersion")


class _Said(Struct, frozen=True):
    """Empty where it is absent."""

    id: Raw = Raw()
    method: str = ""
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()

    @property
    def whose(self) -> tuple[bytes, ...]:
        """The id, if it is one."""
        id_ = bytes(self.id)
        return (id_,) if id_ and id_ != b"null" else ()


class Message(Struct, frozen=True):
    """One line of a client's, one event or body of a server's."""

    raw: bytes
    method: str = ""  # of a request or notification
    asks: tuple[bytes, ...] = ()  # ids of the requests in it; several in a batch
    answers: tuple[bytes, ...] = ()  # ids that it answers
    version: str = ""  # of the protocol: of a request that says it by itself, or of the answer to `initialize`
    subject: str = ""  # the tool, prompt or resource
    cancels: bytes = b""  # the id of a request
    error: bytes = b""  # the error object of an answer that is one

    def __repr__(self) -> str:
        return f"Message({self.method!r}, {len(self.raw)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("method", self.method), ("bytes", len(self.raw))]


class NoMessage(ValueError):
    """What came is no JSON-RPC message."""


T = TypeVar("T", _Params, _Result)

_one: Final = msgspec.json.Decoder(_Said)
_many: Final = msgspec.json.Decoder(list[_Said])


def read(raw: bytes) -> Message:
    """Raises NoMessage."""
    raw = raw.strip()
    try:
        said = _many.decode(raw) if raw.startswith(b"[") else [_one.decode(raw)]
        if not said or not all(one.method or bytes(one.id) for one in said):
            raise NoMessage("it has neither a method nor an id")
        return _message(raw, said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoMessage(str(error)) from None


def _message(raw: bytes, said: list[_Said]) -> Message:
    first = said[0]
    params = _read(first.params, _Params) or _Params()
    result = None if first.method else _read(first.result, _Result)
    return Message(
        raw=raw,
        method=first.method,
        asks=tuple(id_ for one in said if one.method for id_ in one.whose),
        answers=tuple(id_ for one in said if not one.method for id_ in one.whose),
        version=params.meta.version or (result.version if result else ""),
        subject={"name": params.name, "uri": params.uri}.get(_NAMED.get(first.method, ""), ""),
        cancels=bytes(params.request_id) if first.method == "notifications/cancelled" else b"",
        error=bytes(first.error),
    )


def _read(raw: Raw, kind: type[T]) -> T | None:
    """None where it has another shape: then there is nothing in it for us, and it goes on all the same."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return None


def line(message: Message) -> bytes:
    """As a client's pipe wants it: one line. Line breaks between JSON's words mean nothing, and none is in a string."""
    raw = message.raw
    return (raw.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in raw or b"\r" in raw else raw) + b"\n"


def failure(id_: bytes, sentence: str, code: int = OFFLINE) -> bytes:
    """The answer to a request that no server answers."""
    error = {"code": code, "message": sentence}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": Raw(id_ or b"null"), "error": error}) + b"\n"


def with_error(id_: bytes, error: bytes) -> bytes:
    """The same with the error object of a server that did not say to what."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": Raw(id_), "error": Raw(error)}) + b"\n"


def shown(value: str) -> str:
    """A value as a header can have it (MCP 2026-07-28, transports, custom headers)."""
    if _PLAIN.fullmatch(value) and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="
