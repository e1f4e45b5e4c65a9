"""What will be changed, as a person reads it; secrets that stand near it are not shown."""

import difflib
import re
from collections.abc import Iterator
from typing import Final

from aixtiv.setup.record import Pending
from aixtiv.show import short

# The value behind a name that says secret, and whatever begins as one does.
_NAMED: Final = re.compile(
    r"((?:KEY|TOKEN|SECRET|PASSWORD)[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,]+)", re.IGNORECASE
)
_SHAPED: Final = re.compile(r"(sk-ant-[a-z]+|aixtiv-ticket-|Bearer )[\w.~+/=-]+")

TICKET: Final = "aixtiv-ticket-…"
"""Stands where the ticket will: it is made when the person has said yes."""


def lines(changes: tuple[Pending, ...]) -> Iterator[str]:
    for change in changes:
        yield from unified(str(change.goal.path), change.now, change.after)


def unified(path: str, now: bytes | None, then: bytes | None, around: int = 2) -> Iterator[str]:
    """Nothing where nothing changes. `around`: lines that are shown beside those that do."""
    if now == then:
        return
    before, after = ((data or b"").decode(errors="replace").splitlines() for data in (now, then))
    old = short(path) if now is not None else "/dev/null"
    new = short(path) if then is not None else "/dev/null"
    found = difflib.unified_diff(before, after, old, new, lineterm="", n=around)
    yield from (_hidden(line) for line in found)


def _hidden(line: str) -> str:
    return _NAMED.sub(_value, _SHAPED.sub(r"\1…", line))


def _value(match: re.Match[str]) -> str:
    """Ours is shown as what it is; addresses and commands under such a name are no secrets."""
    value = match[2].strip("\"'")
    return match[0] if value == TICKET or not value else f"{match[1]}…"
