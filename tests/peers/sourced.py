"""Accounts that nobody signs in to, in a house: how they are bound, and what stands opposite."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Federation
from peers.authorization import AuthorizationServer, Settings
from peers.clock import FakeClock
from peers.house import House, Opener
from peers.logins import ask, login, sign_in


def by_rule(**identity: Any) -> Federation:
    """As Anthropic wants it."""
    return Federation(rule="fdrl_1", organization="org_1", **identity)


async def bind(
    h: House, source: requests.Source | None, account: str = "claude", provider: str = "anthropic", **more: Any
) -> replies.Account:
    """A sign-in without a person; its only answer."""
    settings = requests.ClientSettings(**more.pop("settings", {}))
    asked = requests.Login(account=account, provider=provider, source=source, settings=settings, **more)
    async with login(h, asked) as stream:
        (only,) = [reply async for reply in stream]
    assert isinstance(only, replies.SignedIn)
    return only.account


@asynccontextmanager
async def federated(house: Opener, **corp: object) -> AsyncIterator[tuple[House, AuthorizationServer, dict[str, Any]]]:
    """Claude's token endpoint, which trusts a company's issuer, at which `corp` is signed in. And how to bind to it."""
    issuer = AuthorizationServer(Settings(**corp))  # type: ignore[arg-type]  # a test's own words
    async with issuer:
        claude = AuthorizationServer(Settings(claude=True, trusts=issuer.issuer, access_ttl=600))
        async with claude, house(FakeClock(time.time()), real=True) as h:
            await sign_in(h, ask(issuer))
            yield h, claude, {"settings": {"token_endpoint": f"{claude.issuer}/token"}, "issuer": issuer}


def at(how: dict[str, Any]) -> dict[str, Any]:
    return {"settings": how["settings"]}


def printing(folder: Path, text: str, name: str = "prints") -> tuple[str, ...]:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return (str(path),)


def counting(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """A command that prints another token each time, and the file in which it counts."""
    count = folder / "count"
    return count, printing(folder, f"echo x >> {count}; echo token-$(wc -l < {count} | tr -d ' ')")


async def another(h: House, account: str, before: str) -> str:
    """The token that comes in place of `before`, by itself."""
    entry = h.accounts._book.named(account)
    while (token := await h.token(account)) == before:
        await entry.changed.wait()
    return token
