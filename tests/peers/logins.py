"""A sign-in as its caller sees it, at a real authorization server, with a person who fills in its forms."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import anyio
import anyio.lowlevel
import anyio.to_thread

from aixtiv_protocol import replies, requests
from peers import person
from peers.authorization import AuthorizationServer, Settings
from peers.clock import FakeClock
from peers.house import House, Opener

Stream = AsyncGenerator[replies.SignInStarted | replies.SignedIn, None]


@asynccontextmanager
async def at_a_provider(house: Opener, **settings: object) -> AsyncIterator[tuple[House, AuthorizationServer]]:
    asked = Settings(**settings)  # type: ignore[arg-type]  # a test's own words
    async with AuthorizationServer(asked) as server, house(FakeClock(time.time()), real=True) as h:
        yield h, server


def ask(server: AuthorizationServer, account: str = "corp", *, replace: bool = False) -> requests.Login:
    settings = requests.ClientSettings(issuer=server.issuer, client_id="native")
    return requests.Login(account=account, settings=settings, replace=replace)


async def started(stream: Stream) -> replies.SignInStarted:
    first = await anext(stream)
    assert isinstance(first, replies.SignInStarted)
    return first


async def finished(stream: Stream) -> replies.Account:
    last = await anext(stream)
    assert isinstance(last, replies.SignedIn)
    return last.account


def login(h: House, asked: requests.Login) -> "aclosing[Stream]":
    return aclosing(cast("Stream", h.accounts.login(asked)))


async def sign_in(h: House, asked: requests.Login, who: str = "ada") -> replies.Account:
    async with login(h, asked) as stream:
        url = (await started(stream)).url
        await anyio.to_thread.run_sync(person.sign_in, url, who)
        return await finished(stream)


async def visit(url: str) -> None:
    await anyio.to_thread.run_sync(person.sign_in, url)


async def redirected(first: replies.SignInStarted, who: str = "ada") -> str:
    """Where the browser would be sent, on a machine from which it cannot get there."""
    return await anyio.to_thread.run_sync(person.redirected, first.url, first.redirect_uri, who)
