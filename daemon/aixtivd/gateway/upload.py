"""A caller's body as it comes in over HTTP (relay.call.Body): not read faster than it is sent on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import StreamReader

from aixtivd.errors import BadRequest


class Upload:
    def __init__(
        self, content: StreamReader, length: int | None, idle: float, go_ahead: Callable[[], Awaitable[None]] | None
    ) -> None:
        """`idle`: seconds. `go_ahead`: says 100 Continue to a caller who waits for it."""
        self.length = length
        self.failure: BadRequest | None = None  # why it will never be whole
        self._content = content
        self._idle = idle
        self._go_ahead = go_ahead

    @property
    def whole(self) -> bool:
        """Whether all of it has come, so that another request can follow on this connection."""
        return self._content.is_eof()

    def fail(self, sentence: str) -> None:
        self.failure = self.failure or BadRequest(sentence)
        self._content.set_exception(self.failure)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises BadRequest where it will never be whole."""
        if self.failure is None and self._go_ahead is not None:
            await self._go_ahead()
        while piece := await self._more():
            yield piece

    async def _more(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle):
                return await self._content.readany()
        except TimeoutError:
            self.fail(f"nothing more of the body came for {self._idle:g} seconds")
        except BadRequest:
            pass
        except Exception as error:  # noqa: BLE001  # aiohttp's, of several kinds: what it says may quote the caller
            self.fail(f"the body cannot be read ({type(error).__name__})")
        raise self.failure or BadRequest
