"""An answer as its bytes go to a caller over HTTP: the upstream's own, and nothing that aiohttp would add."""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from aixtivd.errors import Unreachable
from aixtivd.gateway.refusals import REASONS, Refusal
from aixtivd.relay.call import Answer

WARNING: Final = "x-aixtiv-warning"
CLOSE: Final = (("connection", "close"),)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})  # and every answer to HEAD (RFC 9112 §6.3)


class Written(web.StreamResponse):
    """For aiohttp: what of an answer is still to be written, and whether another request may follow."""

    def __init__(self, rest: bytes = b"", *, keep: bool) -> None:
        super().__init__()
        self._rest = rest
        self.keep = keep

    @property
    def keep_alive(self) -> bool:
        return self.keep

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        rest, self._rest = self._rest, b""
        if rest:
            await request.writer.write(rest)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Whoever made the answer has ended it, or has cut it off: then nothing may look like an end."""


class Outgoing:
    """`begun`: from here on a failure can only be told by cutting the answer off."""

    def __init__(self, request: web.BaseRequest, patience: float) -> None:
        """`patience`: seconds in which a caller may take nothing of its answer."""
        self.begun = False
        self._bodiless = request.method == "HEAD"
        self._writer = request.writer
        self._patience = patience

    async def go_ahead(self) -> None:
        if not self.begun:
            await self._write(CONTINUE)

    async def pass_on(self, answer: Answer, *, keep: bool) -> None:
        """Each piece at once. Raises ConnectionError where the caller is gone, Unreachable for a wrong length."""
        length = _length(answer)
        bodiless = self._bodiless or answer.status in _BODILESS
        headers = [pair for pair in answer.headers if answer.status != 204 or pair[0].lower() != "content-length"]
        if answer.note:
            headers.append((WARNING, _plain(answer.note)))
        if chunked := not bodiless and length is None:
            headers.append(("transfer-encoding", "chunked"))
        self.begun = True
        await self._write(head_of(answer.status, answer.reason, (*headers, *(() if keep else CLOSE))))
        if chunked:
            self._writer.enable_chunking()
        if not bodiless:
            await self._pour(answer, length)

    async def _pour(self, answer: Answer, length: int | None) -> None:
        sent = 0
        async for piece in answer.pieces:
            sent += len(piece)
            if length is not None and sent > length:
                break
            await self._write(piece)
        if length is not None and sent != length:
            raise Unreachable(f"the answer was to have {length} bytes, and has {sent}")
        await self._writer.write_eof()

    async def _write(self, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._writer.write(piece)
        except TimeoutError:
            raise ConnectionAbortedError from None


def refuse(request: web.BaseRequest, refusal: Refusal, *, keep: bool = False) -> Written:
    """An answer of our own."""
    headers = (*refusal.headers(), *(() if keep else CLOSE))
    body = b"" if request.method == "HEAD" else refusal.body()
    return Written(head_of(refusal.status, REASONS[refusal.status], headers) + body, keep=keep)


def head_of(status: int, reason: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Raises Unreachable for what would end a line early: no parser that we know lets such a thing through."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise Unreachable("the answer's head is broken")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


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
