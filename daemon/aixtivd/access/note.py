"""What is put aside on the hot path, and the record that is made of it later: cut, and clean of control characters."""

from typing import Final

from aixtiv_protocol.replies import AuditRecord, What
from aixtivd.access.caller import Caller

Note = tuple[float, What, Caller, bool, str, str, int, int, int, str]
"""When, what, who, whether it succeeded, account, detail, status, bytes sent and received, kind of credential."""

LONGEST: Final = 400
"""Characters of a text; what is longer is cut, and ends with an ellipsis."""


def recorded(note: Note) -> AuditRecord:
    """Its number is the chain's to give."""
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
