"""One API call with a credential attached, and nothing else changed (D12)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aixtivd.access.audit import Audit
from aixtivd.accounts.service import Accounts
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.oauth.web import Web
from aixtivd.relay.call import Answer, Call


class Relay:
    def __init__(self, accounts: Accounts, web: Web, audit: Audit, config: Config, clock: Clock) -> None:
        self._accounts = accounts
        self._web = web
        self._audit = audit
        self._config = config
        self._clock = clock

    def reconfigure(self, config: Config) -> None:
        self._config = config

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Answer]:
        raise NotImplementedError
        yield

    async def aclose(self) -> None: ...
