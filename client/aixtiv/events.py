"""Server-sent events, pure: bytes in as they come, whole events out (WHATWG HTML, 9.2)."""

import re
from typing import Final

from msgspec import Struct

CAP: Final = 16 << 20  # bytes of one line or event; Claude's largest are a few hundred KiB

_BREAK: Final = re.compile(rb"\r\n|\r|\n")
_MARK: Final = b"\xef\xbb\xbf"  # a byte order mark may begin a stream


class TooLong(ValueError):
    """an event is longer than any can be"""


class Event(Struct, frozen=True):
    name: str  # "message" where the server gave none
    data: str


class Events:
    """However a stream is cut into pieces, the same events come. What no blank line ended is not an event."""

    def __init__(self) -> None:
        self._line = bytearray()  # begun and not ended
        self._after_return = False  # the last piece ended in CR: an LF that follows belongs to it
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes. Raises TooLong."""
        if not piece:
            return []
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        *ended, rest = _BREAK.split(piece)
        events = []
        for end in ended:
            line, self._line = bytes(self._line) + end, bytearray()
            if event := self._take(line):
                events.append(event)
        self._line += rest
        if len(self._line) + self._size > CAP:
            raise TooLong
        return events

    def _take(self, line: bytes) -> Event | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_MARK)
        if not line:
            return self._dispatched()
        field, _, value = line.partition(b":")  # a comment has an empty field, and so changes nothing
        text = value.removeprefix(b" ").decode(errors="replace")
        if field == b"event":
            self._name = text
        elif field == b"data":
            self._data.append(text)
            self._size += len(value)
        return None

    def _dispatched(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        return Event(name or "message", "\n".join(data)) if data else None
