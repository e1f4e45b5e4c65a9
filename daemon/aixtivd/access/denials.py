"""Who was turned away or asked in vain, for the audit: each of them, until there are so many that it must be a loop.

Each kind is measured by itself, and whoever shows a good ticket by that ticket: what anybody can send in any number (a
web page, a caller without a ticket) must not hide what only few can. What failed is measured by account and reason, so
that one program's loop hides nothing that happens to another account.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from aixtiv_protocol.replies import What
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.log import Fact

Kind = Literal[
    "browser",
    "no-ticket",
    "wrong-ticket",
    "misuse",
    "rule",
    "unreadable",
    "other-user",
    "locked",
    "full",
    "unsent",
    "refused",
]
"""`misuse`: of a good ticket, for what it is not good for. `unsent`: a call of which nothing reached an API, which is
recorded as the `relay` that it was. `rule`: by one of the config's. `refused`: whatever else."""

AT_ONCE: Final = 20
"""Denials of a kind that are recorded one by one; afterwards …"""

EVERY: Final = 6.0
"""… one in so many seconds, with how many were left out: a day of it fills a few megabytes, not the disk."""

_MOST: Final = 64  # measures that are kept before those that say nothing any more are dropped


class _Sort(NamedTuple):
    """What is measured together. `kind`: None for what nobody forbade and failed; `about`: its account and reason."""

    kind: Kind | None
    ticket: str
    what: What = "denied"
    about: str = ""


class _Measure:
    """A token bucket."""

    def __init__(self, now: float) -> None:
        self.left = float(AT_ONCE)
        self.looked_at = now
        self.silent = 0  # left out since the last one that was recorded
        self.last: tuple[Caller, str, str] | None = None  # of those: who, why, and the account

    def fill(self, now: float) -> None:
        self.left = min(float(AT_ONCE), self.left + (now - self.looked_at) / EVERY)
        self.looked_at = now


class Denials:
    def __init__(self, audit: Audit, now: Callable[[], float]) -> None:
        self._audit = audit
        self._now = now
        self.counted: Counter[Kind] = Counter()  # all of them
        self._measures: dict[_Sort, _Measure] = {}
        self._timer: asyncio.TimerHandle | None = None  # only while something is held back

    def note(self, caller: Caller, sentence: str, *, kind: Kind = "refused", account: str = "", **facts: Fact) -> None:
        """Never waits. To be called in the loop. `sentence`: words of ours; `facts`: for the log alone."""
        self.counted[kind] += 1
        what: What = "relay" if kind == "unsent" else "denied"
        self._note(_Sort(kind, caller.ticket, what), caller, sentence, account, facts)

    def failed(self, what: What, caller: Caller, sentence: str, *, code: str, account: str = "") -> None:
        """As `note`, for what was asked for and failed with that code: no denial, but as easily done in a loop."""
        self._note(_Sort(None, caller.ticket, what, f"{code} {account}"), caller, sentence, account, {})

    def _note(self, sort: _Sort, caller: Caller, sentence: str, account: str, facts: dict[str, Fact]) -> None:
        measure = self._measure(sort)
        if measure.left < 1:
            measure.silent += 1
            measure.last = (caller, sentence, account)
            self._watch()
            return
        measure.left -= 1
        more = f"; {measure.silent} more before it were not recorded" if measure.silent else ""
        measure.silent, measure.last = 0, None
        self._write(sort, caller, sentence + more, account, facts)

    def flush(self) -> None:
        """Records how many were held back: some seconds later, and when the daemon ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for sort, measure in self._measures.items():
            if measure.last is None:
                continue
            caller, sentence, account = measure.last
            more = f"; {measure.silent - 1} more before it were not recorded" if measure.silent > 1 else ""
            measure.silent, measure.last = 0, None
            measure.left = max(0.0, measure.left - 1)
            self._write(sort, caller, sentence + more, account, {})

    def _measure(self, sort: _Sort) -> _Measure:
        now = self._now()
        if len(self._measures) > _MOST:
            for measure in self._measures.values():
                measure.fill(now)
            self._measures = {key: one for key, one in self._measures.items() if one.left < AT_ONCE}
        measure = self._measures.setdefault(sort, _Measure(now))
        measure.fill(now)
        return measure

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self.flush)

    def _write(self, sort: _Sort, caller: Caller, detail: str, account: str, facts: dict[str, Fact]) -> None:
        self._audit.note(sort.what, caller, ok=False, account=account, detail=detail)
        if sort.what == "denied":
            log.warning(
                "denied",
                kind=sort.kind,
                reason=detail,
                pid=caller.pid,
                program=caller.program,
                ticket=caller.ticket,
                **facts,
            )
