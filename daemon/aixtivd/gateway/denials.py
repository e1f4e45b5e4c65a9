"""Who was turned away, for the audit: each of them, until there are so many that it must be a loop."""

from collections.abc import Callable
from typing import Final

from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller

AT_ONCE: Final = 20
"""Denials that are recorded one by one; afterwards …"""

EVERY: Final = 6.0
"""… one in so many seconds, with how many were left out: a day of it fills a few megabytes, not the disk."""


class Denials:
    def __init__(self, audit: Audit, now: Callable[[], float]) -> None:
        self._audit = audit
        self._now = now
        self._left = float(AT_ONCE)  # a token bucket
        self._looked_at = now()
        self._silent = 0  # left out since the last one that was recorded

    def note(self, caller: Caller, sentence: str, account: str = "") -> None:
        now = self._now()
        self._left = min(float(AT_ONCE), self._left + (now - self._looked_at) / EVERY)
        self._looked_at = now
        if self._left < 1:
            self._silent += 1
            return
        self._left -= 1
        detail = f"{sentence}; {self._silent} more before it were not recorded" if self._silent else sentence
        self._silent = 0
        self._audit.note("denied", caller, ok=False, account=account, detail=detail)
        log.warning("gateway-denied", reason=detail, pid=caller.pid, program=caller.program, ticket=caller.ticket)
