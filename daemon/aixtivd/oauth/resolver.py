"""How names become addresses: as everywhere, but `localhost` is this machine, whatever a network's DNS says of it.

Heavy: aiohttp. Whoever needs it has loaded that.
"""

import socket

import aiohttp
from aiohttp.abc import ResolveResult

from aixtivd.oauth.web import is_loopback


class Resolver(aiohttp.ThreadedResolver):
    """Plain http goes to `localhost` (`check_url`), and a hosts file need not have the name (RFC 6761 §6.3)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if host.lower().rstrip(".") != "localhost":
            return found
        if here := [one for one in found if is_loopback(one["host"])]:
            return here
        raise OSError("localhost is somewhere else")
