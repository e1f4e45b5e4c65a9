"""One request of one caller: let in or not, made into a Call, and its answer passed on."""

from typing import cast

import anyio
import msgspec
from aiohttp import web

from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials, Kind
from aixtivd.access.tickets import Held, Tickets
from aixtivd.errors import AixtivError, BadRequest, Denied, Locked, TicketNeeded, WrongVerb
from aixtivd.gateway import incoming
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.incoming import Head
from aixtivd.gateway.outgoing import Outgoing, Written, refuse
from aixtivd.gateway.refusals import Refusal, refusal_of
from aixtivd.gateway.upload import Upload
from aixtivd.gateway.visitor import Place, Visitor
from aixtivd.relay.call import Call
from aixtivd.relay.relay import Relay


class Exchanges:
    def __init__(self, relay: Relay, tickets: Tickets, denials: Denials, bounds: Bounds) -> None:
        self._relay = relay
        self._tickets = tickets
        self._denials = denials
        self._bounds = bounds
        self._open = 0
        self._none_open = anyio.Event()

    async def over(self) -> None:
        """Returns when none is open."""
        while self._open:
            self._none_open = anyio.Event()
            await self._none_open.wait()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """What aiohttp calls for each request. It is cancelled when the caller hangs up."""
        visitor = cast("Visitor", request.protocol)
        keep = False
        self._open += 1
        visitor.begin()
        try:
            written = await self._served(visitor, request)
            written.keep = keep = written.keep and not visitor.finishing  # it may be since the head was written
            return written
        finally:
            visitor.end(keep=keep)
            self._open -= 1
            if not self._open:
                self._none_open.set()

    async def _served(self, visitor: Visitor, request: web.BaseRequest) -> Written:
        place, caller = visitor.place, visitor.place.caller
        kind: Kind = "unreadable"
        try:
            head = incoming.read_head(request.method, request.raw_path, request.version, request.raw_headers)
            caller = msgspec.structs.replace(caller, agent=incoming.agent(head))
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
            return refuse(request, refusal_of(error))
        visitor.admitted = True
        visitor.ticket = held.id if held else ""
        return await self._relayed(visitor, request, head, caller, account)

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

    async def _relayed(
        self, visitor: Visitor, request: web.BaseRequest, head: Head, caller: Caller, account: str
    ) -> Written:
        out = Outgoing(request, self._bounds.unread)
        awaited = bool(head.one("expect")) and head.length != 0
        upload = Upload(request.content, head.length, self._bounds.body, out.go_ahead if awaited else None)
        visitor.upload = upload
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
                keep = request.keep_alive and upload.whole and not visitor.finishing
                await out.pass_on(answer, keep=keep)
            return Written(keep=keep)
        except ConnectionError:
            visitor.cut()  # nobody is there any more, or takes anything
            return Written(keep=False)
        except AixtivError as error:
            refusal = refusal_of(upload.failure or error)
        except Exception as error:  # noqa: BLE001  # a defect is one caller's answer, not the daemon's end
            refusal = _defect(error)
        if out.begun:
            return _broken_off(request)
        keep = request.keep_alive and upload.whole and not visitor.finishing
        return refuse(request, refusal, keep=keep)


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


def _broken_off(request: web.BaseRequest) -> Written:
    """What came before goes out; no last chunk, or too few bytes, tell the caller that it was not all."""
    if request.transport is not None:
        request.transport.close()
    return Written(keep=False)


def _defect(error: Exception) -> Refusal:
    kind = type(error).__name__
    log.error("defect", exception=kind, where=log.places(error))
    return Refusal(500, "api_error", f"a defect in aixtiv ({kind}); the daemon's log says where", again=False)
