"""What happens to accounts, told to whoever watches, to the log and to the audit."""

from collections.abc import AsyncIterator
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aixtiv_protocol.replies import Event, Happening, What
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import DAEMON
from aixtivd.clock import Clock

_BEHIND: Final = 256  # events a watcher may lag; one that reads slower than that misses some


_AUDITED: Final[dict[Happening, What]] = {
    "signed-in": "sign-in",
    "refreshed": "refresh",
    "failing": "oauth2_token_error",
    "sign-in-needed": "oauth2_token_error",
    "paying": "paying",
}
"""What happens later than it was asked for, or by itself. What somebody asks for and gets (a sign-out, a key stored,
the vault locked) is noted where the request came in, with who it was: `ipc.record`."""


class Events:
    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._watchers: set[MemoryObjectSendStream[Event]] = set()

    def tell(
        self, name: Happening, *, account: str = "", detail: str = "", expires_at: int = 0, audited: bool = True
    ) -> None:
        """Never waits: a watcher that does not read is nobody else's business. `audited`: not told there already."""
        log.info(name, **{key: fact for key, fact in (("account", account), ("detail", detail)) if fact})
        if audited and (what := _AUDITED.get(name)):
            self._audit.note(what, DAEMON, ok=what != "oauth2_token_error", account=account, detail=detail)
        event = Event(event=name, at=self._clock.wall(), account=account, detail=detail, expires_at=expires_at)
        for watcher in self._watchers:
            try:
                watcher.send_nowait(event)
            except anyio.WouldBlock:
                log.warning("watcher-behind")

    def exchange_failed(self, account: str, detail: str) -> None:
        """A sign-in came to nothing at the token endpoint. Who waits for it hears of it there."""
        log.info("exchange-failed", account=account, detail=detail)
        self._audit.note("oauth2_token_error", DAEMON, ok=False, account=account, detail=detail)

    def published(self, account: str) -> None:
        """Its token was written in a file, as the config says: no rule is asked, and the record is what there is."""
        self._audit.note("token", DAEMON, account=account, detail="published in a file")

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
