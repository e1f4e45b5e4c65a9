"""One stream on its way to a caller, and what ends it before it has come to its own end."""

from typing import Final

import anyio

from aixtiv_protocol.replies import End, Failure, Reply
from aixtivd.ipc.body import Body
from aixtivd.ipc.dispatch import Stream
from aixtivd.ipc.outbox import Outbox

STOPPING: Final = Failure(code="busy", message="the daemon is stopping", retry=True)


class Pouring:
    """Of one conversation, one stream after the other. `body`: of the `relay` that the present one answers.

    `finishing`: the daemon stops; a relayed answer comes to its own end, unless its body is still on its way.
    `closing`: the conversation ends with a Failure of its own, and nothing is poured any more.
    """

    def __init__(self) -> None:
        self.body: Body | None = None
        self.finishing = False
        self.closing = False
        self._scope: anyio.CancelScope | None = None

    def look(self) -> None:
        """Ends the stream where something has changed and nobody wants it any more."""
        if self._scope is not None and self._in_vain():
            self._scope.cancel()

    def _in_vain(self) -> bool:
        body = self.body
        relays = body is not None and not body.open
        broken = body is not None and body.failure is not None
        return broken or self.closing or (self.finishing and not relays)

    async def pour(self, stream: Stream, body: Body | None, outbox: Outbox) -> None:
        """A stream ends with End, or with a Failure."""
        item: Reply | None = None
        self.body = body
        with anyio.CancelScope() as self._scope:
            self.look()
            async for item in stream:
                outbox.send(item)
                await outbox.room.wait()
        ended = not self._scope.cancelled_caught
        self._scope = self.body = None
        if isinstance(item, Failure | End):
            return
        if ended:
            outbox.send(End())
        elif body is not None and body.failure is not None:
            outbox.send(body.failure)
        elif not self.closing:
            outbox.send(STOPPING)
