"""aiohttp's server, set up as the gateway needs it. Whoever imports this has loaded aiohttp."""

from aiohttp import web

from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials
from aixtivd.access.tickets import Tickets
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.exchange import Exchanges
from aixtivd.gateway.visitor import Host, Place, Visitor
from aixtivd.relay.relay import Relay


class Server:
    def __init__(self, relay: Relay, tickets: Tickets, denials: Denials, bounds: Bounds, host: Host) -> None:
        self._exchanges = Exchanges(relay, tickets, denials, bounds)
        self._server = web.Server(self._exchanges.serve, handler_cancellation=True)
        self._bounds = bounds
        self._host = host

    def visitor(self, caller: Caller, port: int, ticket: str) -> Visitor:
        """For one connection."""
        return Visitor(self._server, Place(caller, port, ticket), self._bounds, self._host)

    async def over(self) -> None:
        """Returns when no call is open."""
        await self._exchanges.over()
