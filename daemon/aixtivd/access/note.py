"""What is put aside on the hot path, and the record that is made of it later: cut, and clean of control characters."""

from typing import Final

from msgspec.structs import replace

from aixtiv_protocol.replies import AuditRecord, What
from aixtivd.access.caller import Caller

Note = tuple[float, What, Caller, bool, str, str, int, int, int, str]
"""When, what, who, whether it succeeded, account, detail, status, bytes sent and received, kind of credential."""


class Tally:
    """The tokens of one account that one caller was handed out while its first waited to be written: one record.

    `open`: whether it waits still. Then whoever hands out another one may count it here.
    """

    __slots__ = ("account", "at", "caller", "count", "last_at", "open")

    def __init__(self, at: float, caller: Caller, account: str) -> None:
        self.at = self.last_at = at
        self.caller = caller
        self.account = account
        self.count = 1
        self.open = True


LONGEST: Final = 400
"""Characters of a text; what is longer is cut, and ends with an ellipsis."""


def recorded(note: Note | Tally) -> AuditRecord:
    """Its number is the chain's to give."""
    if isinstance(note, Tally):
        one = recorded((note.at, "token", note.caller, True, note.account, "", 0, 0, 0, ""))
        return replace(one, count=note.count, last_at=note.last_at) if note.count > 1 else one
    at, what, caller, ok, account, detail, status, sent, received, kind = note
    return AuditRecord(
        number=0,
        at=at,
        what=what,
        ok=ok,
        account=clean(account),
        pid=caller.pid,
        program=clean(caller.program),
        unit=clean(caller.unit),
        agent=clean(caller.agent),
        ticket=clean(caller.ticket),
        detail=clean(detail.strip().partition("\n")[0].rstrip()),  # of many lines the first says what happened
        status=status,
        sent=sent,
        received=received,
        kind=kind,
    )


def clean(text: str) -> str:
    """Control characters, what turns the reading direction, and bytes that are no text cannot reach a terminal."""
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
