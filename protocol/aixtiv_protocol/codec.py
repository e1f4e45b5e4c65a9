"""Bytes in, messages out, and back: frames and line mode (README.md beside this package). No I/O.

The invariant, fuzzed: whatever comes in, the result is a message or a ProtocolError, never another error.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from aixtiv_protocol.replies import Code, Reply
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret, decode_hook, encode_hook

FRAME_CAP: Final = 256 * 1024
"""Bytes of one message, either way. ssh-agent's figure (AGENT_MAX_LEN); bodies will travel in pieces below it."""

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
    """Cuts a caller's byte stream into message bodies. The first byte decides the mode for good."""

    __slots__ = ("_buffer", "_searched", "mode")

    def __init__(self) -> None:
        self.mode: Mode | None = None
        self._buffer = bytearray()
        self._searched = 0  # a line's newline is not before this offset, so a slow line is not searched twice

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

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
        body = bytes(buffer[HEAD : HEAD + size])
        del buffer[: HEAD + size]
        return body

    def _next_line(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if (len(buffer) if end < 0 else end) > FRAME_CAP:
            raise ProtocolError("too_large", f"a line is above the cap of {FRAME_CAP} bytes")
        if end < 0:
            self._searched = len(buffer)
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line


def decode_request(body: bytes, mode: Mode) -> Request:
    """Raises ProtocolError: fatal for bytes that are no MessagePack or JSON, not fatal for a message we do not know.

    msgspec's own sentence is passed on only as far as it names a field: it quotes the input elsewhere.
    """
    try:
        return _unpack_request.decode(body) if mode == "frames" else _json_request.decode(body)
    except msgspec.ValidationError as error:
        raise ProtocolError("bad_request", _named_only(str(error)), fatal=False) from None
    except _UNREADABLE:
        what = "MessagePack" if mode == "frames" else "JSON"
        raise ProtocolError("bad_request", f"that message is not {what}") from None


def _named_only(sentence: str) -> str:
    """msgspec's validation error without the caller's values: the path it ends with is kept, quoted values are not."""
    _, _, path = sentence.rpartition(" - at `$")
    where = path.rstrip("`").removeprefix(".") if path != sentence else ""
    if sentence.startswith("Invalid value") and where == "op":
        return "this daemon does not know that request"
    if "unknown field" in sentence:
        return "this daemon does not know one of the fields of that request"
    return f"{f'the field {where}' if where.isidentifier() else 'a field'} of that request is missing or wrong"


def encode_request(request: Request) -> bytes:
    """One frame."""
    return _framed(_pack.encode(request))


def encode_reply(reply: Reply, mode: Mode) -> bytes:
    """One frame, or one line."""
    return _framed(_pack.encode(reply)) if mode == "frames" else _json.encode(reply) + b"\n"


def encode_bare(secret: Secret, mode: Mode) -> bytes:
    """The answer to `form: "bare"`: a frame holding a lone MessagePack string, or the lone text and a newline."""
    return _framed(_pack.encode(secret.reveal())) if mode == "frames" else secret.reveal().encode() + b"\n"


def decode_reply(body: bytes) -> Reply | Secret:
    """What a daemon said in a frame's body; a lone string is a bare token. Raises ProtocolError, always fatal."""
    try:
        reply = _unpack_reply.decode(body)
    except (*_UNREADABLE, msgspec.ValidationError):
        raise ProtocolError("bad_request", "the daemon's answer is not one this client knows") from None
    return Secret(reply) if isinstance(reply, str) else reply


def _framed(body: bytes) -> bytes:
    if len(body) > FRAME_CAP:
        raise ProtocolError("too_large", f"a message of {len(body)} bytes is above the cap of {FRAME_CAP}")
    return len(body).to_bytes(HEAD, "big") + body
