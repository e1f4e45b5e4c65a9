"""One request of one caller: let in or not, made into a Call, and its answer passed on."""

import asyncio

import anyio
import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials, Kind
from aixtivd.access.tickets import Held, Tickets
from aixtivd.errors import AixtivError, BadRequest, Denied, Locked, TicketNeeded, WrongVerb
from aixtivd.gateway import incoming
from aixtivd.gateway.incoming import Head
from aixtivd.gateway.outgoing import Outgoing, refusal_in
from aixtivd.gateway.parser import Request
from aixtivd.gateway.refusals import Refusal, refusal_of
from aixtivd.gateway.visitor import Place, Visitor
from aixtivd.relay.call import Call
from aixtivd.relay.relay import Relay


class Exchanges:
    """Of all callers. Each call has a task, which its visitor cancels when it leaves, and `over` waits for."""

    def __init__(self, relay: Relay, tickets: Tickets, denials: Denials) -> None:
        self._relay = relay
        self._tickets = tickets
        self._denials = denials
        self._loop = asyncio.get_running_loop()
        self.open = 0
        self._none_open = anyio.Event()

    async def over(self) -> None:
        """Returns when none is open."""
        while self.open:
            self._none_open = anyio.Event()
            await self._none_open.wait()

    def begin(self, visitor: Visitor, request: Request) -> None:
        """A caller that is turned away costs no task."""
        place, caller = visitor.place, visitor.place.caller
        kind: Kind = "unreadable"
        try:
            head = incoming.read_head(request.method, request.target, request.version, request.raw)
            if agent := incoming.agent(head):
                caller = msgspec.structs.replace(caller, agent=agent)
            kind = "browser"
            incoming.check_not_a_browser(head, place.port)
            kind = "no-ticket"
            ticket = incoming.ticket(head, needed=bool(place.port))
            kind = "wrong-ticket"
            held = self._checked(ticket)
            kind = "misuse"
            caller = held.shown_by(caller) if held else caller
            account = _account(place, head, held)
        except AixtivError as error:
            self._denials.note(caller, error.sentence, kind=_kind(error, kind))
            visitor.write(refusal_in(request.method, refusal_of(error), keep=False))
            visitor.end(keep=False)
            return
        visitor.admitted = True
        visitor.ticket = held.id if held else ""
        self.open += 1
        visitor.task = self._loop.create_task(self._serve(visitor, request, head, caller, account))
        visitor.task.add_done_callback(self._ended)  # not in the task: it may be cancelled before it begins

    def _checked(self, ticket: Secret | None) -> Held | None:
        """Raises TicketNeeded, WrongVerb, or Locked: which tickets are good is in the vault."""
        if ticket is None:
            return None
        try:
            return self._tickets.check(ticket, "relay")
        except WrongVerb:
            raise
        except Denied as error:
            raise TicketNeeded(error.sentence, hint=error.hint) from None

    async def _serve(self, visitor: Visitor, request: Request, head: Head, caller: Caller, account: str) -> None:
        """It is cancelled when the caller hangs up."""
        try:
            visitor.end(keep=await self._relayed(visitor, request, head, caller, account))
        except ConnectionError:
            visitor.cut()  # nobody is there any more
        except Exception as error:  # noqa: BLE001  # a defect of ours: nobody would end it, for it has no deadline now
            _defect(error)
            visitor.cut()

    def _ended(self, _: "asyncio.Task[None]") -> None:
        self.open -= 1
        if not self.open:
            self._none_open.set()

    async def _relayed(self, visitor: Visitor, request: Request, head: Head, caller: Caller, account: str) -> bool:
        """Whether another request may follow. Raises ConnectionError."""
        out = Outgoing(visitor, head.method)
        upload = request.upload
        awaited = bool(head.one("expect")) and head.length != 0
        upload.open(head.length, visitor, out.go_ahead if awaited else None)
        call = Call(
            method=head.method,
            path=head.target,
            headers=head.forwarded(),
            body=upload,
            caller=caller,
            account=account,
        )
        keep = False
        try:
            async with self._relay.call(call) as answer:
                keep = request.keep and upload.whole and not visitor.finishing
                await out.pass_on(answer, keep=keep)
        except ConnectionError:
            raise
        except AixtivError as error:
            refusal = refusal_of(upload.failure or error)
        except Exception as error:  # noqa: BLE001  # a defect is one caller's answer, not the daemon's end
            refusal = _defect(error)
        else:
            return keep
        if out.begun:
            visitor.break_off()
            return False
        keep = request.keep and upload.whole and not visitor.finishing
        visitor.write(refusal_in(head.method, refusal, keep=keep))
        return keep


def _account(place: Place, head: Head, held: Held | None) -> str:
    """Without a ticket, on the Unix socket, a caller may name any (empty: as the config says); a ticket has its own.

    Raises Denied for a good ticket where it is good for nothing.
    """
    if held is None:
        if place.port:
            raise TicketNeeded
        return head.one(incoming.ACCOUNT)
    if place.ticket not in {"", held.id}:
        raise TicketNeeded("this port is another ticket's")
    if head.one(incoming.ACCOUNT) not in {"", held.account}:
        raise Denied("this ticket is for another account")
    return held.account


def _kind(error: AixtivError, kind: Kind) -> Kind:
    """Of a denial. `kind`: of what was being looked at."""
    if isinstance(error, WrongVerb):
        return "misuse"
    if isinstance(error, BadRequest):
        return "unreadable"
    return "locked" if isinstance(error, Locked) else kind


def _defect(error: Exception) -> Refusal:
    kind = type(error).__name__
    log.error("defect", exception=kind, where=log.places(error))
    return Refusal(500, "api_error", f"a defect in aixtiv ({kind}); the daemon's log says where", again=False)
