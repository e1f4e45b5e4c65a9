"""A sign-in with a code beside it, at a server that a test looks into."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from aixtiv_protocol import replies, requests
from peers.authorization import AuthorizationServer
from peers.house import House, Opener
from peers.logins import Stream, ask, at_a_provider, login, started

INTERVAL = 5.0


def wanting(server: AuthorizationServer, device: requests.Device = "wanted", account: str = "corp") -> requests.Login:
    return msgspec.structs.replace(ask(server, account), device=device)


@asynccontextmanager
async def coded(
    house: Opener, device: requests.Device = "wanted", **settings: object
) -> AsyncIterator[tuple[House, AuthorizationServer, Stream, replies.SignInStarted]]:
    """A sign-in with a code that nobody has typed yet."""
    async with (
        at_a_provider(house, device=True, **settings) as (h, server),
        login(h, wanting(server, device)) as stream,
    ):
        yield h, server, stream, await started(stream)


def typed(server: AuthorizationServer, first: replies.SignInStarted, who: str = "ada", *, yes: bool = True) -> None:
    assert server.endpoints.devices.answer(first.user_code, who, yes=yes)


async def next_poll(h: House, server: AuthorizationServer, pause: float = INTERVAL, times: int = 1) -> None:
    """Lets one pause of that length pass (the `times`-th), until the poll after it has been heard."""
    before = len(server.requests)
    await h.clock.asked_for(pause, times)
    h.clock.advance(pause)
    await server.until(requests=before + 1)
