"""The way to the APIs: connections, kept for the next call, over what `[network]` says."""

import importlib
from collections.abc import AsyncIterable
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakSet

import anyio
import anyio.to_thread

from aixtivd.config import Network
from aixtivd.oauth.web import proxy_for, tls_context

if TYPE_CHECKING:
    import ssl

    from aixtivd.relay.line import Line
    from aixtivd.relay.sent import Sent


class Upstream:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._opening = anyio.Lock()
        self._line: Line | None = None
        self._retired: WeakSet[Line] = WeakSet()  # kept by their connections, which end by themselves when idle

    def configure(self, network: Network) -> None:
        """Other settings for what is sent from now on. What is under way ends on the line it began on."""
        if network == self._network:
            return
        self._network = network
        if self._line is not None:
            self._retired.add(self._line)
            self._line = None

    async def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | AsyncIterable[bytes] | None,
        lane: int = 0,
    ) -> "Sent":
        """Sends once, and returns with the answer's head. Calls of different `lane`s never share a connection.

        Raises UpstreamFailure, or Misconfigured for a `ca-file` that is none.
        """
        line = self._line or await self._opened()
        proxy = proxy_for(self._network, urlsplit(url).hostname or "") if self._network.proxy else None
        return await line.send(method, url, headers, body, proxy, lane)

    async def aclose(self) -> None:
        """Ends what is under way, too."""
        lines = [*self._retired, self._line]
        self._line = None
        self._retired.clear()
        for line in lines:
            if line is not None:
                await line.aclose()

    async def _opened(self) -> "Line":
        async with self._opening:
            while self._line is None:
                ca_file = self._network.ca_file
                module, context = await anyio.to_thread.run_sync(_load, ca_file)
                if ca_file == self._network.ca_file:  # else the config was read again meanwhile
                    self._line = module.Line(context)
            return self._line


def _load(ca_file: str) -> "tuple[ModuleType, ssl.SSLContext]":
    """In a thread: imports and certificates, in which the loop goes on."""
    return importlib.import_module("aixtivd.relay.line"), tls_context(ca_file)
