"""One token endpoint's host, or one command: how much is asked of it at once, and whether it is left alone a while."""

import random
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio

from aixtiv_protocol.requests import Command
from aixtivd.accounts import states
from aixtivd.accounts.book import Entry
from aixtivd.accounts.grant import Grant


class Host:
    """Slots and breaker for one host, so that one that hangs or fails is no other's business.

    Callers who wait come first: what they start lines up at `slots`, while the scheduler's own stay in `queue` until a
    slot is free.
    """

    def __init__(self, name: str, at_once: int) -> None:
        self.name = name
        self.slots = anyio.CapacityLimiter(at_once)
        self.flights = 0  # in a slot, or lined up for one
        self.queue: deque[Entry] = deque()  # due, and not started yet
        self.paused_until = 0.0  # steady
        self._failures = 0

    @property
    def free(self) -> bool:
        return self.flights < self.slots.total_tokens

    def succeeded(self) -> None:
        self._failures, self.paused_until = 0, 0.0

    def failed(self, now: float, chance: float) -> None:
        self._failures += 1
        self.paused_until = now + states.breaker_pause(self._failures, chance)


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads what would come at once; nothing secret


class Hosts:
    def __init__(self, at_once: int, chance: Callable[[], float] | None = None) -> None:
        self.chance = chance or _chance
        self._at_once = at_once
        self._hosts: dict[str, Host] = {}

    def of(self, grant: Grant) -> Host:
        name = _asked(grant)
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self._at_once)
        return host

    def configure(self, at_once: int) -> None:
        self._at_once = at_once
        for host in self._hosts.values():
            host.slots.total_tokens = at_once

    def forget(self) -> None:
        """Who is waiting; but not who is to be left alone."""
        for host in self._hosts.values():
            host.queue.clear()

    def forgive(self) -> None:
        """After a sleep the network is another: what failed before says nothing."""
        for host in self._hosts.values():
            host.succeeded()


def _asked(grant: Grant) -> str:
    """Who is asked for tokens; a path is no host's name."""
    if isinstance(grant.source, Command):
        return grant.source.command[0]
    return urlsplit(grant.client.token_endpoint).netloc if grant.client else ""
