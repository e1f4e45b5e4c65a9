"""A daemon's accounts in this process: the real vault on disk, a clock that tests move, and outcomes as tests say them.

What a provider's answer means is told by `oauth`'s own tests and the end-to-end ones; here the outcome is the input.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol, cast

import anyio
import anyio.lowlevel
import msgspec

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Account
from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.accounts.grant import Bound, Grant, from_row, signed_in
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config, Network, VaultConfig
from aixtivd.oauth.client import Client, Quirks
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.outcomes import Granted, Outcome, Tokens, TryAgain
from aixtivd.oauth.web import Web
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock, settle

Answer = Outcome | Callable[[], Awaitable[Outcome]]


def granted(number: int, *, expires_in: int | None = 3600, rotate: bool = True) -> Granted:
    """The provider's n-th answer."""
    return Granted(
        tokens=Tokens(
            access_token=Secret(f"access-{number}"),
            refresh_token=Secret(f"refresh-{number}") if rotate else None,
            expires_in=expires_in,
        )
    )


class Script:
    """Stands for `Endpoint`: answers refreshes with what a test put in the queue, in order."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.spent: list[str] = []  # refresh tokens, as they were sent
        self.revoked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def refresh(self, client: Client, refresh_token: Secret) -> Outcome:
        self.spent.append(refresh_token.reveal())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.lowlevel.checkpoint()
            answer = self.answers.pop(0) if self.answers else TryAgain(reason="nothing in the script")
            return await answer() if callable(answer) else answer
        finally:
            self.at_once -= 1

    async def revoke(self, client: Client, token: Secret, hint: Literal["refresh_token", "access_token"]) -> str:
        self.revoked.append(token.reveal())
        return ""


class Held:
    """An answer that comes when the test says so."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked = anyio.Event()
        self.release = anyio.Event()

    async def __call__(self) -> Outcome:
        self.asked.set()
        await self.release.wait()
        return self.outcome


class House:
    """`real`: refreshes go over HTTP to a real server, instead of to the script."""

    def __init__(self, folder: Path, clock: FakeClock, config: Config, *, real: bool) -> None:
        self.clock = clock
        self._config = config
        self.script = Script()
        self.vault = Vault(folder / "state", config.vault, clock)
        self.web = Web(Network())
        endpoint = Endpoint(self.web, clock) if real else cast("Endpoint", self.script)
        self.audit = Audit(folder / "state", self.vault, clock)
        self.accounts = Accounts(self.vault, endpoint, self.web, self.audit, config, clock)

    async def adopt(
        self, name: str, *, provider: str = "", lifetime: int = 3600, host: str = "one", **quirks: object
    ) -> Grant:
        """Signs an account in, without the browser."""
        client = Client(
            provider=provider or name,
            client_id="cid",
            token_endpoint=f"https://{host}.example/token",
            quirks=Quirks(**quirks),  # type: ignore[arg-type]  # a test's own words
        )
        blank = Grant(id=name.encode().ljust(16, b"-"), name=name, provider=name, generation=0)
        terms = Bound(provider=provider or name, client=client, scopes=("read",))
        new = signed_in(blank, terms, granted(0, expires_in=lifetime).tokens, self.clock.wall())
        await self.accounts._changes._adopt(None, blank, new)
        return new

    async def in_a_refresh(self, name: str = "github", number: int = 1) -> "Held":
        """Signs an account in, and begins its refresh: the answer waits for the test."""
        await self.adopt(name)
        answer = Held(granted(number))
        self.script.answers = [answer]
        self.clock.advance(3000)
        await answer.asked.wait()
        return answer

    def config(self, **changed: object) -> Config:
        """As it was opened with, but for what is given."""
        return msgspec.structs.replace(self._config, **changed)

    def state(self, name: str) -> Account:
        return next(account for account in self.accounts.states() if account.name == name)

    async def token(self, name: str = "", *, min_ttl: int = 0, wait: float = 30.0) -> str:
        reply = await self.accounts.token(requests.Token(account=name, min_ttl=min_ttl, wait=wait))
        return reply.access_token.reveal()

    async def settle(self) -> None:
        """Until every task waits for the clock, and the store's thread has done what it was asked."""
        changes: list[int] = []
        while len(changes) < 4 or changes[-1] != changes[-2]:
            await settle()
            await self.vault.rows()
            changes.append(self.vault._opened.ledger._manifest.number)  # type: ignore[union-attr]  # it is open
        await settle()

    async def stored(self, name: str) -> Grant:
        """What the disk says of an account."""
        grants = [from_row(row) for row in await self.vault.rows()]
        return next(grant for grant in grants if grant.name == name)


@asynccontextmanager
async def opened(folder: Path, clock: FakeClock, *, real: bool = False, **config: object) -> AsyncIterator[House]:
    """Opened, running, and stopped in order; a second one in the same folder is a restart."""
    settings = Config(vault=VaultConfig(key="file"), **config)  # type: ignore[arg-type]  # a test's own words
    built = House(folder, clock, settings, real=real)
    await built.vault.open()
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(built.accounts.run)
            await built.accounts.start()
            yield built
            tasks.cancel_scope.cancel()
    finally:
        await built.vault.aclose()
        await built.web.aclose()


class Opener(Protocol):
    def __call__(
        self, clock: FakeClock | None = None, *, real: bool = False, **config: object
    ) -> AbstractAsyncContextManager[House]: ...
