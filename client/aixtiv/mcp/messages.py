"""JSON-RPC messages as the bridge sees them: passed on as they came, and read only for what has to be known of them."""

import base64
import codecs
import re
import threading
from math import inf
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

LIMIT: Final = 32 << 20
"""Bytes of one message at most, either way: a picture fits, and a server that never ends its message is stopped."""

MOST: Final = 1000
"""Messages of one batch: each costs more than the few bytes that it may have."""

OFFLINE: Final = -32000  # JSON-RPC 2.0 §5.1: of what a server may define
INVALID: Final = -32600
PARSE: Final = -32700

_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]*")
_ESCAPED: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""What a backslash begins in a string; its group is half of a pair whose other half is missing."""

_VERSION: Final = "io.modelcontextprotocol/protocolVersion"


class _Meta(Struct, frozen=True):
    version: str = msgspec.field(default="", name=_VERSION)


class _WithMeta(Struct, frozen=True):
    meta: _Meta = msgspec.field(default_factory=_Meta, name="_meta")


class _Named(Struct, frozen=True):
    subject: str = msgspec.field(name="name")


class _Placed(Struct, frozen=True):
    subject: str = msgspec.field(name="uri")


class _Cancelled(Struct, frozen=True):
    request: Raw = msgspec.field(name="requestId")


class _Result(Struct, frozen=True):
    version: str = msgspec.field(default="", name="protocolVersion")


_SUBJECT: Final[dict[str, type[_Named | _Placed]]] = {
    "tools/call": _Named,
    "prompts/get": _Named,
    "resources/read": _Placed,
}


class _Room(threading.local):
    """Messages that what is being read may still have: counted as they are read."""

    left: float = inf  # as long as nothing is decoded


_room: Final = _Room()


class _Said(Struct, frozen=True):
    """Empty where it is absent."""

    id: Raw = Raw()
    method: str = ""
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()

    def __post_init__(self) -> None:
        _room.left -= 1
        if _room.left < 0:
            raise ValueError(f"it has more than {MOST} messages")

    @property
    def whose(self) -> tuple[bytes, ...]:
        """The id, if it is one."""
        id_ = bytes(self.id)
        return (_one_way(id_),) if id_ and id_ != b"null" else ()


def _one_way(id_: bytes) -> bytes:
    """An id as everybody would write it: whoever answers may write it in another way, and means the same."""
    if _INTEGER.fullmatch(id_):  # of any length
        return id_
    try:
        value = msgspec.json.decode(id_)
    except msgspec.DecodeError:
        return id_
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value)


class Message(Struct, frozen=True):
    """One line of a client's, one event or body of a server's."""

    raw: bytes
    method: str = ""  # of a request or notification; of a batch none
    methods: tuple[str, ...] = ()  # of all that is in it; empty is an answer's
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


T = TypeVar("T", _WithMeta, _Named | _Placed, _Cancelled, _Result)

_PIECE: Final = 1 << 20  # bytes

_one: Final = msgspec.json.Decoder(_Said)
_many: Final = msgspec.json.Decoder(list[_Said])


def read(raw: bytes) -> Message:
    """Raises NoMessage."""
    raw = raw.strip()
    if not _is_text(raw):
        raise NoMessage("it is not UTF-8")
    try:
        said = _said(raw)
    except msgspec.DecodeError as error:
        whole = _ESCAPED.sub(lambda found: b"\\ufffd" if found[1] else found[0], raw)
        if whole == raw:
            raise NoMessage(str(error)) from None
        said = _mended(whole)
    except RecursionError as error:
        raise NoMessage(str(error)) from None
    if not said or not all(one.method or bytes(one.id) for one in said):
        raise NoMessage("it has neither a method nor an id")
    return _message(raw, said) if not raw.startswith(b"[") else _batch(raw, said)


def _is_text(raw: bytes) -> bool:
    """UTF-8 to its end, read in pieces: as a text it may take four times the room."""
    if raw.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(raw), _PIECE):
            decoder.decode(raw[at : at + _PIECE], final=at + _PIECE >= len(raw))
    except UnicodeDecodeError:
        return False
    return True


def _said(raw: bytes) -> list[_Said]:
    batch = raw.startswith(b"[")
    _room.left = MOST if batch else 1
    try:
        return _many.decode(raw) if batch else [_one.decode(raw)]
    finally:
        _room.left = inf


def _mended(whole: bytes) -> list[_Said]:
    """What JSON allows and no text can have, half of a surrogate pair, is read as if a sign stood there."""
    try:
        return _said(whole)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NoMessage(str(error)) from None


def _batch(raw: bytes, said: list[_Said]) -> Message:
    return Message(
        raw=raw,
        methods=tuple(one.method for one in said),
        asks=tuple(id_ for one in said if one.method for id_ in one.whose),
        answers=tuple(id_ for one in said if not one.method for id_ in one.whose),
        error=bytes(said[0].error),
    )


def _message(raw: bytes, said: list[_Said]) -> Message:
    (one,) = said
    if not one.method:
        result = _read(one.result, _Result)
        return Message(
            raw, methods=("",), answers=one.whose, version=result.version if result else "", error=bytes(one.error)
        )
    meta = _read(one.params, _WithMeta)
    return Message(
        raw=raw,
        method=one.method,
        methods=(one.method,),
        asks=one.whose,
        version=meta.meta.version if meta else "",
        subject=_subject(one),
        cancels=_cancelled(one),
    )


def _subject(one: _Said) -> str:
    kind = _SUBJECT.get(one.method)
    named = _read(one.params, kind) if kind else None
    return named.subject if named else ""


def _cancelled(one: _Said) -> bytes:
    cancelled = _read(one.params, _Cancelled) if one.method == "notifications/cancelled" else None
    return _one_way(bytes(cancelled.request)) if cancelled else b""


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
