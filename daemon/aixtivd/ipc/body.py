"""A relayed body on its way from a caller's `piece` requests to whoever sends it on: bounded, and whole or failed."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from msgspec import Struct

from aixtiv_protocol.replies import Failure
from aixtiv_protocol.requests import Relay, Request, Restore
from aixtivd.errors import BadRequest

_COST: Final = 64  # bytes that Python needs for a piece, however short: many short ones count, too


class Body:
    """What a `relay` and its pieces hold (relay.call.Body). The session feeds it, the relay reads it, once.

    `bound`: bytes above which it is `full`; `room` is called whenever it no longer is.
    """

    __slots__ = ("_arrived", "_bound", "_dropped", "_held", "_pieces", "_room", "failure", "length", "open")

    def __init__(self, asked: Relay | Restore, bound: int, room: Callable[[], None]) -> None:
        self.length = None if asked.more else len(asked.body)
        self.open = True  # the caller has more to say
        self.failure: Failure | None = None  # why it will never be whole
        self._pieces: deque[bytes] = deque()
        self._held = 0  # bytes of them
        self._bound = bound
        self._dropped = False
        self._room = room
        self._arrived = anyio.Event()
        self.feed(asked.body, more=asked.more)

    @property
    def full(self) -> bool:
        return self._held > self._bound

    def feed(self, data: bytes, *, more: bool) -> None:
        if data and not self._dropped:
            self._pieces.append(data)
            self._held += len(data) + _COST
        self.open = more
        self._arrived.set()

    def fail(self, sentence: str) -> None:
        """It will never be whole. What of it was not read is gone, and so is what still comes."""
        self.failure = self.failure or Failure(code="bad_request", message=sentence)
        self.drop()

    def drop(self) -> None:
        """Nobody will read on: the answer is there, or the body has failed."""
        self._pieces.clear()
        self._held = 0
        self._dropped = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                yield self._next()
            if self._dropped:
                raise BadRequest(self.failure.message if self.failure else "the rest of the body was not wanted")
            if not self.open:
                return
            self._arrived = anyio.Event()
            await self._arrived.wait()

    def _next(self) -> bytes:
        was_full = self.full
        piece = self._pieces.popleft()
        self._held -= len(piece) + _COST
        if was_full and not self.full:
            self._room()
        return piece


class Waiting(Struct, frozen=True):
    """What was read and not yet answered. A Failure: it was not understood, or came too late."""

    asked: Request | Failure
    body: Body | None = None  # of a `relay` or a `restore`
