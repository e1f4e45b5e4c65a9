"""How names become addresses, as aiohttp asks for them.

Heavy: aiohttp. Whoever needs it has loaded that.
"""

import socket

import aiohttp
from aiohttp.abc import ResolveResult

from aixtivd.oauth.addresses import only_here


class Resolver(aiohttp.ThreadedResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return only_here(host, await super().resolve(host, port, family), lambda one: one["host"])
