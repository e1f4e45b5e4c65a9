"""Bytes in, messages out, and back: frames and line mode (README.md beside this package). No I/O.

The invariant, fuzzed: whatever comes in, the result is a message or a ProtocolError, never another error.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from aixtiv_protocol import VERSION
from aixtiv_protocol.replies import Code, Failure, Reply
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret, decode_hook, encode_hook

FRAME_CAP: Final = 256 * 1024
"""Bytes of one message, either way. ssh-agent's figure (AGENT_MAX_LEN); bodies travel in pieces below it."""

HEAD: Final = 4  # bytes of length before a frame, big-endian

Mode = Literal["frames", "lines"]


class ProtocolError(Exception):
    """The peer's bytes are not a message. `fatal`: where the next message begins can no longer be known."""

    def __init__(self, code: Code, sentence: str, *, fatal: bool = True) -> None:
        super().__init__(sentence)
        self.code: Code = code
        self.fatal = fatal


_pack = msgspec.msgpack.Encoder(enc_hook=encode_hook)
_unpack_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request, dec_hook=decode_hook)
_unpack_reply: msgspec.msgpack.Decoder[Reply | str] = msgspec.msgpack.Decoder(Reply | str, dec_hook=decode_hook)
_json = msgspec.json.Encoder(enc_hook=encode_hook)
_json_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request, dec_hook=decode_hook)

# msgspec lets these through beside its own DecodeError: nesting that is too deep, text that is not UTF-8.
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class Inbox:
    """Cuts a caller's byte stream into message bodies. The first byte decides the mode for good.

    `alone`: whether the last body was all that the last bytes held, and held whole, as a caller sends who waits for its
    answers: then it was not copied about.
    """

    __slots__ = ("_buffer", "_searched", "alone", "mode")

    def __init__(self) -> None:
        self.mode: Mode | None = None
        self.alone = False
        self._buffer: bytes | bytearray = b""  # bytes: as it came, in one piece
        self._searched = 0  # a line's newline is not before this offset, so a slow line is not searched twice

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self.alone = False
        if not self._buffer:
            self._buffer = data
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        self._buffer += data

    def forget(self) -> bool:
        """Whether anything was here that is now gone. Then whatever comes may begin in the middle of it."""
        held, self._buffer = bool(self._buffer), b""
        self._searched = 0
        return held

    def bodies(self) -> Iterator[bytes]:
        """Every whole message body now in the buffer. Raises ProtocolError, always fatal."""
        while (body := self._next()) is not None:
            yield body

    def _next(self) -> bytes | None:
        if not self._buffer:
            return None
        if self.mode is None:
            self.mode = self._told_by(self._buffer[0])
        return self._next_frame() if self.mode == "frames" else self._next_line()

    @staticmethod
    def _told_by(first: int) -> Mode:
        if first == 0:
            return "frames"
        if first == ord("{"):
            return "lines"
        raise ProtocolError("bad_request", "a conversation begins with a frame (first byte 0) or a JSON object")

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < HEAD:
            return None
        size = int.from_bytes(buffer[:HEAD], "big")
        if size > FRAME_CAP:
            raise ProtocolError("too_large", f"a message of {size} bytes is above the cap of {FRAME_CAP}")
        if len(buffer) < HEAD + size:
            return None
        return self._cut(HEAD, HEAD + size, HEAD + size)

    def _next_line(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if (len(buffer) if end < 0 else end) > FRAME_CAP:
            raise ProtocolError("too_large", f"a line is above the cap of {FRAME_CAP} bytes")
        if end < 0:
            self._searched = len(buffer)
            return None
        self._searched = 0
        return self._cut(0, end, end + 1)

    def _cut(self, start: int, end: int, behind: int) -> bytes:
        """The body between two places, out of the buffer; `behind`: where the next one begins."""
        buffer = self._buffer
        body = bytes(buffer[start:end])
        if len(buffer) == behind:
            self.alone, self._buffer = isinstance(buffer, bytes), b""
            return body
        if isinstance(buffer, bytes):
            buffer = self._buffer = bytearray(buffer)
        del buffer[:behind]
        return body


def decode_request(body: bytes, mode: Mode) -> Request:
    """Raises ProtocolError: fatal for bytes that are no MessagePack or JSON, not fatal for a message we do not know."""
    try:
        return _unpack_request.decode(body) if mode == "frames" else _json_request.decode(body)
    except msgspec.ValidationError as error:
        raise ProtocolError("bad_request", _without_values(str(error)), fatal=False) from None
    except _UNREADABLE:
        what = "MessagePack" if mode == "frames" else "JSON"
        raise ProtocolError("bad_request", f"that message is not {what}") from None


# The parts of msgspec's validation errors that are made of our own names; the rest may quote the caller.
_PATH = re.compile(r"[a-z_]+(?:\.[a-z_]+|\[\d+\])*")
_EXPECTED = re.compile(
    r"E(xpected `[a-z |]+`(?: of length \d+)?(?:(?: of length)? [<>]= [\d.]+)?)(?:, got .*)?", re.DOTALL
)
_MISSING = re.compile(r"Object missing required field `([a-z_]+)`")


def _without_values(error: str) -> str:
    """msgspec's validation error without the caller's values: a wrong field can be a password in the wrong place."""
    what, at, path = error.rpartition(" - at `$")
    if not at:
        what, path = path, ""
    where = path.removesuffix("`").removeprefix(".")
    if what.startswith("Object contains unknown field"):
        return "this daemon does not know one of the fields of that request"
    if what.startswith("Invalid value") and where == "op":
        return "this daemon does not know that request"
    if missing := _MISSING.fullmatch(what):
        return f"the field {missing[1]} is missing"
    field = where if _PATH.fullmatch(where) else "that message"
    if expected := _EXPECTED.fullmatch(what):
        return f"{field}: e{expected[1]}"
    return f"{field}: not a value that is understood"


def encode_request(request: Request) -> bytes:
    """One frame. Raises ProtocolError for what no frame can carry: too much, or text that is not Unicode."""
    try:
        body = _pack.encode(request)
    except UnicodeEncodeError:  # a command line's bytes that were no UTF-8 (PEP 383)
        raise ProtocolError("bad_request", "that request holds text that is not UTF-8") from None
    if len(body) > FRAME_CAP:
        raise ProtocolError("too_large", f"a request of {len(body)} bytes is above the cap of {FRAME_CAP}")
    return _framed(body)


def encode_reply(reply: Reply, mode: Mode) -> bytes:
    """One frame, or one line. What neither can carry is answered by the Failure that says so: this never raises."""
    encode = _pack.encode if mode == "frames" else _json.encode
    try:
        body = encode(reply)
    except (UnicodeEncodeError, OverflowError):
        # A provider's JSON may hold half a surrogate pair or a number of fifty digits: Python's json lets both through.
        body = encode(Failure(code="internal", message="the answer holds a value that cannot be sent"))
    if len(body) > FRAME_CAP:
        sentence = f"the answer has {len(body)} bytes, above the cap of {FRAME_CAP}"
        body = encode(Failure(code="too_large", message=sentence))
    return _framed(body) if mode == "frames" else body + b"\n"


def encode_bare(secret: Secret, mode: Mode) -> bytes:
    """The answer to `form: "bare"`: a frame holding a lone MessagePack string, or the lone text and a newline.

    RFC 6749 §A.12: an access token is printable ASCII. One that is not could end the line early, and is a Failure.
    """
    text = secret.reveal()
    if not (text.isascii() and text.isprintable() and len(text) + 5 <= FRAME_CAP):  # 5: MessagePack's own head
        return encode_reply(Failure(code="refused", message="the provider's token is not one a line can carry"), mode)
    return _framed(_pack.encode(text)) if mode == "frames" else text.encode() + b"\n"


def decode_reply(body: bytes) -> Reply | Secret:
    """What a daemon said in a frame's body; a lone string is a bare token.

    Raises ProtocolError: not fatal for a reply of a kind this client does not know, which a stream's reader skips.
    """
    try:
        reply = _unpack_reply.decode(body)
    except msgspec.ValidationError as error:
        news = str(error).startswith("Invalid value") and str(error).endswith(" - at `$.re`")
        raise ProtocolError("bad_request", _NOT_KNOWN, fatal=not news) from None
    except _UNREADABLE:
        raise ProtocolError("bad_request", _NOT_KNOWN) from None
    return Secret(reply) if isinstance(reply, str) else reply


_NOT_KNOWN = f"the daemon's answer is not one that aixtiv {VERSION} knows"


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(HEAD, "big") + body
