"""What the gateway needs as soon as somebody calls, and not before. Whoever imports this has loaded the HTTP parser."""

from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials
from aixtivd.access.tickets import Tickets
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.exchange import Exchanges
from aixtivd.gateway.visitor import Host, Place, Visitor
from aixtivd.relay.relay import Relay


class Server:
    def __init__(self, relay: Relay, tickets: Tickets, denials: Denials, bounds: Bounds, host: Host) -> None:
        self.exchanges = Exchanges(relay, tickets, denials)
        self._bounds = bounds
        self._host = host

    def visitor(self, caller: Caller, port: int, ticket: str) -> Visitor:
        """For one connection."""
        return Visitor(self.exchanges, Place(caller, port, ticket), self._bounds, self._host)
