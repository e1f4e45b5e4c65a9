"""A resource that wants a token and says who gives them (RFC 9728): an MCP server's HTTP, as far as signing in goes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from peers.authority.grants import Settings
from peers.authorization import AuthorizationServer
from peers.canned import Shelf, shelf

METADATA = "/.well-known/oauth-protected-resource"


class Guarded:
    """`url`: of the resource. What it publishes may be changed at any time, on its shelf."""

    def __init__(self, there: Shelf, server: AuthorizationServer, path: str) -> None:
        self.there = there
        self.server = server
        self.url = f"{there.url}{path}"
        self.path = path
        self.publish()
        self.challenge()

    def publish(self, place: str = "", **changed: Any) -> None:
        """Its metadata, at `place` or its own."""
        said = {
            "resource": self.url,
            "authorization_servers": [self.server.issuer],
            "scopes_supported": ["api:read"],
        } | changed
        self.there.put(place or f"{METADATA}{self.path}", {name: value for name, value in said.items() if value})

    def withdraw(self) -> None:
        """It publishes nothing any more."""
        for place in [place for place in self.there.answers if place.startswith(METADATA)]:
            del self.there.answers[place]

    def challenge(self, text: str = "Bearer", status: int = 401) -> None:
        """What it says to who shows nothing."""
        self.there.put(self.path, {"error": "invalid_token"}, status, **({"WWW-Authenticate": text} if text else {}))


@asynccontextmanager
async def guarded(path: str = "/mcp", **settings: Any) -> AsyncIterator[Guarded]:
    """With its own authorization server, at which clients may register. `settings`: of that."""
    async with AuthorizationServer(Settings(**({"registration": True} | settings))) as server, shelf() as there:
        yield Guarded(there, server, path)
