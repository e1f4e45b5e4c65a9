"""What happens to accounts, told to whoever watches."""

from collections.abc import AsyncIterator
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aixtiv_protocol.replies import Event, Happening
from aixtivd import log
from aixtivd.clock import Clock

_BEHIND: Final = 256  # events a watcher may lag; one that reads slower than that misses some


class Events:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: set[MemoryObjectSendStream[Event]] = set()

    def tell(self, name: Happening, *, account: str = "", detail: str = "", expires_at: int = 0) -> None:
        """Logs it too. Never waits: a watcher that does not read is nobody else's business."""
        log.info(name, **{key: fact for key, fact in (("account", account), ("detail", detail)) if fact})
        event = Event(event=name, at=self._clock.wall(), account=account, detail=detail, expires_at=expires_at)
        for watcher in self._watchers:
            try:
                watcher.send_nowait(event)
            except anyio.WouldBlock:
                log.warning("watcher-behind")

    async def watch(self) -> AsyncIterator[Event]:
        sender, receiver = anyio.create_memory_object_stream[Event](_BEHIND)
        self._watchers.add(sender)
        try:
            async for event in receiver:
                yield event
        finally:
            self._watchers.discard(sender)
            sender.close()
            receiver.close()
