"""An answer as its bytes go to a caller over HTTP: the upstream's own, framed, and nothing added to it."""

from collections.abc import Iterable
from typing import Final, Protocol

from aixtivd.errors import Unreachable
from aixtivd.gateway.refusals import REASONS, Refusal
from aixtivd.relay.call import Answer

WARNING: Final = "x-aixtiv-warning"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = ("connection", "close")
_CHUNKED: Final = ("transfer-encoding", "chunked")
_BODILESS: Final = frozenset({204, 304})  # and every answer to HEAD (RFC 9112 §6.3)


class Sink(Protocol):
    """The connection that an answer goes out by."""

    full: bool  # the caller takes less than it is sent

    def write(self, data: bytes) -> None:
        """Raises ConnectionError where the caller is gone."""

    def write_soon(self, data: bytes) -> None:
        """With what else is written in this turn of the loop."""

    async def room(self) -> None:
        """Returns when it is not full."""


class Outgoing:
    """`begun`: from here on a failure can only be told by cutting the answer off."""

    __slots__ = ("_method", "_sink", "begun")

    def __init__(self, sink: Sink, method: str) -> None:
        self.begun = False
        self._sink = sink
        self._method = method

    def go_ahead(self) -> None:
        if not self.begun:
            self._sink.write(CONTINUE)

    async def pass_on(self, answer: Answer, *, keep: bool) -> None:
        """Each piece at once. Raises ConnectionError where the caller is gone, Unreachable for a wrong length."""
        length = _length(answer)
        bodiless = self._method == "HEAD" or answer.status in _BODILESS
        headers = [pair for pair in answer.headers if answer.status != 204 or pair[0].lower() != "content-length"]
        if answer.note:
            headers.append((WARNING, _plain(answer.note)))
        if not bodiless and length is None:
            headers.append(_CHUNKED)
        if not keep:
            headers.append(_CLOSE)
        head = head_of(answer.status, answer.reason, headers)
        self.begun = True
        self._sink.write_soon(head)
        if bodiless:
            return
        if length is None:
            await self._pour_chunks(answer)
        else:
            await self._pour(answer, length)

    async def _pour_chunks(self, answer: Answer) -> None:
        async for piece in answer.pieces:
            if piece:  # an empty chunk would be the last
                self._sink.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if self._sink.full:
                    await self._sink.room()
        self._sink.write(b"0\r\n\r\n")

    async def _pour(self, answer: Answer, length: int) -> None:
        sent = 0
        async for piece in answer.pieces:
            sent += len(piece)
            if sent > length:
                break
            self._sink.write(piece)
            if self._sink.full:
                await self._sink.room()
        if sent != length:
            raise Unreachable(f"the answer was to have {length} bytes, and has {sent}")


def refusal_in(method: str, refusal: Refusal, *, keep: bool) -> bytes:
    """An answer of our own, whole. `method`: of the request, as far as it could be read."""
    headers = (*refusal.headers(), *(() if keep else (_CLOSE,)))
    body = b"" if method == "HEAD" else refusal.body()
    return head_of(refusal.status, REASONS[refusal.status], headers) + body


def head_of(status: int, reason: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Raises Unreachable for what would end a line early: no parser that we know lets such a thing through."""
    lines = [f"HTTP/1.1 {status} {reason}", *[f"{name}: {value}" for name, value in headers], "\r\n"]
    head = "\r\n".join(lines)
    if head.count("\r") != len(lines) or head.count("\n") != len(lines) or "\0" in head:
        raise Unreachable("the answer's head is broken")
    return head.encode()


def _length(answer: Answer) -> int | None:
    said = {value.strip() for name, value in answer.headers if name.lower() == "content-length"}
    if not said:
        return None
    if len(said) > 1 or not (text := said.pop()).isdecimal():
        raise Unreachable("the answer's length is ambiguous")
    return int(text)


def _plain(sentence: str) -> str:
    """A header can hold little more than ASCII that everybody reads alike."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in sentence)
