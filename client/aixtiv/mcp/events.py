"""Server-sent events (WHATWG HTML §9.2) out of the pieces of an answer, none larger than a message can be."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from aixtiv.failures import AixtivError
from aixtiv.mcp.messages import LIMIT

LEAST_RETRY: Final = 0.1
LONGEST_RETRY: Final = (
    30.0  # seconds; whatever a server says, we look again after so long, and not sooner than the least
)


class TooLarge(AixtivError):
    """the server's message is larger than one can be"""

    code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"the server's message is larger than {LIMIT >> 20} MiB, and is not passed on")


class Event(Struct, frozen=True):
    data: bytes = b""  # empty: only what stands beside it is news
    kind: str = "message"
    id: str | None = None
    retry: float | None = None  # seconds

    def __repr__(self) -> str:
        return f"Event({self.kind!r}, {len(self.data)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("kind", self.kind), ("bytes", len(self.data))]


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """What a stream that breaks off had begun is not given. Raises TooLarge, and whatever `pieces` raises."""
    reading = _Event()
    for line in _lines(pieces):
        if line:
            reading.take(line)
            continue
        if found := reading.over():
            yield found
        reading = _Event()


class _Event:
    def __init__(self) -> None:
        self._data: bytearray | None = None  # not a list of lines: each of those costs more than what is in it
        self._kind = "message"
        self._id: str | None = None
        self._retry: float | None = None

    def take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                if self._data is None:
                    self._data = bytearray(value)
                else:
                    self._data += b"\n"
                    self._data += value
                if len(self._data) > LIMIT:
                    raise TooLarge
            case b"event":
                self._kind = value.decode(errors="replace")
            case b"id" if b"\0" not in value and value.isascii():
                self._id = value.decode()
            case b"retry" if value.isdigit() and len(value) < 10:
                self._retry = max(LEAST_RETRY, min(int(value) / 1000, LONGEST_RETRY))

    def over(self) -> Event | None:
        if self._data is None and self._id is None and self._retry is None:
            return None
        return Event(bytes(self._data or b""), self._kind or "message", self._id, self._retry)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines end with LF, CR or CRLF, wherever the pieces are cut."""
    begun = bytearray()  # of a line
    after_return, first = False, True
    for piece in pieces:
        if not piece:
            continue
        new = piece[1:] if after_return and piece.startswith(b"\n") else piece  # the other half of a line's end
        after_return = piece.endswith(b"\r")
        *whole, rest = new.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            found = bytes(begun + line)
            yield found.removeprefix(b"\xef\xbb\xbf") if first else found
            begun, first = bytearray(), False
        begun += rest
        if len(begun) > LIMIT + 16:  # and the field's name
            raise TooLarge


def whole(pieces: Iterable[bytes], most: int = LIMIT) -> bytes:
    """A body that is one message. Raises TooLarge."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            raise TooLarge
    return bytes(body)
