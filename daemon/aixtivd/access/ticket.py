"""One ticket: how it looks, what is kept of it, and when it is over."""

import base64
import hashlib
import hmac
import math
import os
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aixtiv_protocol.replies import TicketShown
from aixtiv_protocol.requests import Verb
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller

PREFIX: Final = "aixtiv-ticket-"
BYTES: Final = 32  # random: 43 characters in base64


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
