"""A caller's body on its way to an API: handed on as it comes, and kept as long as it may have to be sent again."""

import asyncio
from typing import Final

from aixtivd.errors import AixtivError, BadRequest
from aixtivd.relay.call import Body

RESENDABLE: Final = 32 * 1024 * 1024
"""Bytes of a body that is kept: what Claude takes of one message (claude.md). A batch or a file is not sent twice."""

ALL_KEPT: Final = 256 * 1024 * 1024
"""Bytes kept for all calls at once: eight of the largest messages, or two thousand of an ordinary hundred kilobytes.

They are kept only until the answer's head is there, so it takes that many uploads at the same time to reach it.
"""

WHOLE: Final = 64 * 1024
"""Bytes of a body that is read before it is sent, so that it leaves in one write with its head."""


class Budget:
    """What may be kept for all calls together."""

    def __init__(self, total: int = ALL_KEPT) -> None:
        self.left = total

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def give_back(self, size: int) -> None:
        self.left += size


class Kept:
    """One caller's body. Iterated over once for each time that it is sent, never twice at the same time.

    A body that is not as long as was said, or whose caller fails, raises, and the reason stays in `failure`: whoever
    sends has wrapped it by then.
    """

    def __init__(self, body: Body, length: int | None, budget: Budget) -> None:
        self.length = length
        self.sent = 0  # bytes handed out, of the last time
        self.resendable = True
        self.failure: AixtivError | None = None
        self._pieces: list[bytes] = []
        self._next = 0  # which of them is handed out next
        self._taken = 0  # bytes, from the caller
        self._counted = 0  # of them in the budget
        self._over = length == 0
        self._budget = budget
        self._source = aiter(body)
        self._taking: asyncio.Future[None] | None = None

    async def ready(self) -> bytes | None:
        """All of it, where that is little; else None, with its beginning there: who sends will not have to wait for it.

        Before anything is sent, so that no connection is held, and may be closed meanwhile, for a caller's first byte.
        """
        most = WHOLE if self.length is not None and self.length <= WHOLE else 0
        while not self._over and not self.failure and self._taken <= most:
            await self._take()
        if self.failure:
            raise self.failure
        if not self._over or self._taken > WHOLE:
            return None
        whole = b"".join(self._pieces)
        self._pieces = [whole]
        self._next = 1
        self.sent = len(whole)
        return whole

    def __aiter__(self) -> "Kept":
        return self

    async def __anext__(self) -> bytes:
        if self._next == len(self._pieces):
            if self.failure:
                raise self.failure
            if not self._over:
                await self._read()
        if self._next == len(self._pieces):
            raise StopAsyncIteration
        piece = self._pieces[self._next]
        if self.resendable:
            self._next += 1
        else:
            del self._pieces[self._next]
        self.sent += len(piece)
        return piece

    def again(self) -> None:
        """From the beginning, for another time of sending."""
        assert self.resendable
        self._next = 0
        self.sent = 0

    def settle(self) -> None:
        """It will not be sent again: what was handed out is dropped, and what comes is not kept."""
        self.resendable = False
        self._budget.give_back(self._counted)
        self._counted = 0
        del self._pieces[: self._next]
        self._next = 0

    def drop(self) -> None:
        """All of it, whether it was sent or not."""
        self.settle()
        self._pieces.clear()
        self._over = True
        if self._taking is not None:
            self._taking.cancel()

    async def _read(self) -> None:
        """Takes the caller's next piece, for somebody who may be cancelled while it waits: the taking goes on.

        Who sends is cancelled where an answer is whole before its request (`Sent.finish`). The next one then waits for
        the same piece; had the caller's generator been cancelled, it would look as if the body had ended there.
        """
        if self._taking is None or self._taking.done():
            self._taking = asyncio.ensure_future(self._take())  # ours, until `drop`
        await asyncio.shield(self._taking)
        if self.failure:
            raise self.failure

    async def _take(self) -> None:
        """The caller's next piece is kept, or it is `over`, or there is a `failure`."""
        try:
            piece = await anext(self._source)
        except StopAsyncIteration:
            self._over = True
            if self.length is not None and self._taken < self.length:
                self.failure = BadRequest(f"the body ended after {self._taken} of {self.length} bytes")
        except AixtivError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001  # whatever the caller's side of it is made of
            self.failure = BadRequest(f"the caller's body broke off ({type(error).__name__})")
        else:
            self._taken += len(piece)
            if self.length is not None and self._taken > self.length:
                self.failure = BadRequest(f"the body is longer than the {self.length} bytes that its head says")
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        if self.resendable and (self._taken > RESENDABLE or not self._budget.take(len(piece))):
            self.settle()
        if self.resendable:
            self._counted += len(piece)
        self._pieces.append(piece)
