"""Relayed calls and tickets as they are asked for on the socket: whose account counts, and what is answered."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

import anyio
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import PIECE, Headers, Verb
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts
from aixtivd.errors import BadRequest, Denied, NoAccount, Refused
from aixtivd.gateway.gateway import Gateway
from aixtivd.ipc.leases import Leases
from aixtivd.relay.call import AGENT, Answer, Body, Call
from aixtivd.relay.relay import Relay

HEAD: Final = 64 * 1024
"""Characters of an answer's headers that are handed on. In JSON they may double; a message holds four times as much."""


class Calls:
    def __init__(self, accounts: Accounts, relay: Relay, gateway: Gateway, tickets: Tickets) -> None:
        self._accounts = accounts
        self._relay = relay
        self._gateway = gateway
        self._tickets = tickets
        self.leases = Leases(tickets)

    def shown(self, ticket: Secret, verb: Verb, account: str, caller: Caller) -> tuple[str, Caller]:
        """The ticket's account, and the caller with its id. Raises Denied, also where another account was named."""
        held = self._tickets.check(ticket, verb)
        if account and account != held.account:
            raise Denied("that ticket is for another account")
        return held.account, held.shown_by(caller)

    def prepared(self, asked: requests.Relay, caller: Caller, body: Body) -> Call:
        """Raises Denied, BadRequest."""
        account = asked.account
        if asked.ticket is not None:
            if asked.api_key is not None:
                raise BadRequest("a call with a ticket brings no key of its own")
            account, caller = self.shown(asked.ticket, "relay", account, caller)
        if not caller.agent:
            caller = replace(caller, agent=_agent(asked.headers))
        return Call(
            method=asked.method,
            path=asked.path,
            headers=asked.headers,
            body=body,
            caller=caller,
            account=account,
            api_key=asked.api_key,
            endpoint=asked.endpoint,
            fallback=asked.fallback,
            wait=asked.wait,
        )

    async def relayed(self, call: Call) -> AsyncIterator[replies.Reply]:
        """Head and pieces. Raises AixtivError where the answer does not come, or not to its end."""
        with self.leases.on(call.caller.ticket) as lease:
            async with AsyncExitStack() as stack:
                with lease.waiting():
                    answer = await stack.enter_async_context(self._relay.call(call))
                yield _head(answer)
                pieces = aiter(answer.pieces)
                while True:
                    with lease.waiting():
                        piece = await anext(pieces, None)
                    if piece is None:
                        return
                    for at in range(0, len(piece), PIECE):
                        yield replies.Piece(data=piece[at : at + PIECE])

    async def ticket(self, asked: requests.Ticket, caller: Caller) -> replies.TicketMade:
        account = self._accounts.relayed(asked.account)
        if not self._accounts.known(account):
            hint = _remedy(account, near=self._accounts.near(account))
            raise NoAccount(f"there is no account {account}, and a ticket stands for one", hint=hint)
        held, secret = await self._tickets.make(asked, account, caller)
        return replies.TicketMade(
            ticket=secret,
            id=held.id,
            account=held.account,
            verbs=held.verbs,
            expires_at=int(held.expires_at),
            base_url=await self._base_url(held.id, own=asked.port),
            socket=str(self._gateway.path or ""),
        )

    async def _base_url(self, id_: str, *, own: bool) -> str:
        """A ticket that its caller will never hear of must not go on."""
        port = self._gateway.port
        if own:
            try:
                port = await self._gateway.open_port(id_)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._tickets.revoke(id_)
                raise
        return f"http://127.0.0.1:{port}" if port else ""

    async def revoke(self, asked: requests.RevokeTicket) -> replies.Done:
        ended = await self._tickets.revoke(asked.ticket)
        return replies.Done(note="1 ticket has ended" if ended == 1 else f"{ended} tickets have ended")


def _remedy(account: str, *, near: str) -> str:
    """For a name that was mistyped, those there are; else how Claude gets a first account, or another provider."""
    if near:
        return "aixtiv accounts"
    command = "api-key set" if account.partition("/")[0] == "anthropic" else "login"
    return f"aixtiv {command} {account}"


def _head(answer: Answer) -> replies.Head:
    """Raises Refused for one that is too large to be handed on."""
    if sum(len(name) + len(value) for name, value in answer.headers) > HEAD:
        raise Refused(f"the API's answer has headers of more than {HEAD} characters")
    return replies.Head(
        status=answer.status,
        headers=answer.headers,
        account=answer.account,
        kind=answer.kind,
        note=answer.note,
        own=answer.own,
    )


def _agent(headers: Headers) -> str:
    return next((value for name, value in headers if name.lower() == AGENT), "")
