"""One ticket: how it looks, what is kept of it, and when it is over."""

import base64
import hashlib
import hmac
import math
import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aixtiv_protocol.codec import FRAME_CAP
from aixtiv_protocol.replies import TicketList, TicketShown
from aixtiv_protocol.requests import Verb
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller
from aixtivd.errors import BadRequest

PREFIX: Final = "aixtiv-ticket-"
BYTES: Final = 32  # random: 43 characters in base64

PROGRAM: Final = 500  # characters of whose it is, as people see it
_TEXTS: Final = 4096  # bytes of whose it is, as rules see it: nothing of that can be left out
_ROUND: Final = 64  # bytes of a TicketList round its tickets


class Held(Struct, frozen=True, kw_only=True):
    """A ticket that is good. The secret itself is nowhere."""

    id: str
    account: str
    verbs: tuple[Verb, ...]
    name: str = ""
    made_at: float = 0.0
    expires_at: float = 0.0  # 0: no limit but its holder's life
    holder: int = 0  # pid; 0: nobody
    program: str = ""
    executable: str = ""  # whose it is, as rules see it: a ticket can do what its maker may
    script: str = ""
    unit: str = ""
    cgroup: str = ""

    def shown_by(self, caller: Caller) -> Caller:
        """Who counts where it is shown: for rules its maker, whoever shows it. Over TCP nobody says who it is."""
        return replace(
            caller,
            ticket=self.id,
            program=caller.program or self.program,
            executable=self.executable,
            script=self.script,
            unit=self.unit,
            cgroup=self.cgroup,
        )


class Stored(Struct, frozen=True):
    """A ticket as the vault keeps it: who knows the hash does not know the ticket."""

    digest: bytes
    held: Held


class Ticket:
    """What the daemon knows of a ticket while it runs."""

    __slots__ = ("deadline", "digest", "held", "port", "release", "used_at")

    def __init__(self, digest: bytes, held: Held, deadline: float = math.inf) -> None:
        self.digest = digest
        self.held = held
        self.deadline = deadline  # on the clock that counts sleep
        self.used_at = 0.0
        self.port = 0
        self.release: Callable[[], None] | None = None  # ends the watch over its holder

    def over(self, steady: float, wall: float) -> bool:
        """It is good only while both clocks say so: wall time can be set back, and a restart knows no other."""
        expires = self.held.expires_at
        return steady >= self.deadline or bool(expires and wall >= expires)

    def shown(self) -> TicketShown:
        held = self.held
        return TicketShown(
            id=held.id,
            account=held.account,
            verbs=held.verbs,
            name=held.name,
            made_at=int(held.made_at),
            expires_at=int(held.expires_at),
            used_at=int(self.used_at),
            holder=held.holder,
            program=held.program,
            port=self.port,
        )


def mint() -> Secret:
    return Secret(PREFIX + base64.urlsafe_b64encode(os.urandom(BYTES)).rstrip(b"=").decode())


def digest(ticket: Secret) -> bytes:
    """No salt and no stretching: nobody guesses 256 bits."""
    return hashlib.sha256(ticket.reveal().encode(errors="surrogatepass")).digest()


def found(tickets: dict[bytes, Ticket], wanted: bytes) -> Ticket | None:
    """The look-up's time tells at most something about a hash, from which no ticket follows; the rest is constant."""
    ticket = tickets.get(wanted)
    return ticket if ticket is not None and hmac.compare_digest(ticket.digest, wanted) else None


def check_maker(caller: Caller) -> None:
    """All tickets together have to fit where they are kept. Raises BadRequest."""
    if sum(len(text.encode()) for text in (caller.executable, caller.script, caller.unit, caller.cgroup)) > _TEXTS:
        raise BadRequest(f"the names of the program that asks have more than {_TEXTS} bytes, too many for a ticket")


def page(tickets: Iterable[TicketShown], after: str, listed: Callable[[str], bool]) -> TicketList:
    """Those of accounts that are `listed`: all, oldest first, or as many as one answer holds, by id."""
    found = [ticket for ticket in tickets if listed(ticket.account)]
    if not after and _fitting(found) == len(found):
        return TicketList(tickets=tuple(found))
    found = sorted((ticket for ticket in found if ticket.id > after), key=lambda ticket: ticket.id)
    fitting = _fitting(found)
    return TicketList(tickets=tuple(found[:fitting]), more=fitting < len(found))


def _fitting(tickets: list[TicketShown]) -> int:
    room = FRAME_CAP - _ROUND
    for number, ticket in enumerate(tickets):
        room -= len(msgspec.json.encode(ticket)) + 1  # and a comma; a line is never shorter than the frame
        if room < 0:
            return number
    return len(tickets)
