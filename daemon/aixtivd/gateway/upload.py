"""A caller's body as it comes in over HTTP (relay.call.Body): not read faster than it is sent on."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aixtivd.errors import BadRequest


class Source(Protocol):
    """The connection that a body comes by."""

    def read_on(self) -> None:
        """There is room again."""

    def body_awaited(self, *, wanted: bool) -> None:
        """Somebody waits for more of it, or no longer does."""


class Upload:
    """Filled by the parser, from when its head is there; `open` says how it is read."""

    __slots__ = ("_go_ahead", "_pieces", "_source", "_waiting", "failure", "held", "length", "whole")

    def __init__(self) -> None:
        self.length: int | None = 0
        self.whole = False  # all of it has come, so that another request can follow on this connection
        self.failure: BadRequest | None = None  # why it will never be whole
        self.held = 0  # bytes that have come, and nobody has taken
        self._pieces: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._source: Source | None = None
        self._go_ahead: Callable[[], None] | None = None

    # Where it comes from

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.held += len(piece)
        self._wake()

    def end(self) -> None:
        self.whole = True
        self._wake()

    def fail(self, sentence: str) -> None:
        self.failure = self.failure or BadRequest(sentence)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # Where it goes to

    def open(self, length: int | None, source: Source, go_ahead: Callable[[], None] | None) -> None:
        """`go_ahead`: says 100 Continue to a caller who waits for it."""
        self.length = length
        self._source = source
        self._go_ahead = go_ahead

    def __aiter__(self) -> "Upload":
        return self

    async def __anext__(self) -> bytes:
        """Raises BadRequest where it will never be whole."""
        if self._go_ahead is not None and self.failure is None:
            self._go_ahead()
            self._go_ahead = None
        while self.failure is None and not self._pieces:
            if self.whole:
                raise StopAsyncIteration
            await self._more()
        if self.failure is not None:
            raise self.failure
        return self._taken()

    def _taken(self) -> bytes:
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.held = 0
        if not self.whole and self._source is not None:
            self._source.read_on()
        return piece

    async def _more(self) -> None:
        assert self._source is not None, "it is read before it was opened"
        self._waiting = asyncio.get_running_loop().create_future()
        self._source.body_awaited(wanted=True)
        try:
            await self._waiting
        finally:
            self._waiting = None
            self._source.body_awaited(wanted=False)
