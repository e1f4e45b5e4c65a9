"""A ticket as one daemon leaves it to the next in the same process: what the vault does not keep, and whose it was."""

import msgspec
from msgspec import Struct

from aixtivd import log
from aixtivd.access.ticket import Held, Ticket


class LeftTicket(Struct, frozen=True):
    """`started`: of the process that holds it, which tells it from a later one of the same number."""

    digest: bytes
    held: Held
    deadline: float  # on the clock that counts sleep, which goes on through an execution
    used_at: float
    started: str = ""


_decoder: msgspec.msgpack.Decoder[LeftTicket] = msgspec.msgpack.Decoder(LeftTicket)


def packed(ticket: Ticket, started: str) -> bytes:
    return msgspec.msgpack.encode(
        LeftTicket(ticket.digest, ticket.held, ticket.deadline, ticket.used_at, started),
    )


def unpacked(left: bytes) -> tuple[Ticket, str] | None:
    """With when its holder began. None: of a version that wrote them in another way, so it has ended."""
    try:
        found = _decoder.decode(left)
    except msgspec.MsgspecError:
        log.warning("ticket-left-behind")
        return None
    ticket = Ticket(found.digest, found.held, found.deadline)
    ticket.used_at = found.used_at
    return ticket, found.started
