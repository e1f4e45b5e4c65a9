"""A way to a host: its addresses tried as browsers do, a proxy asked where one is said, TLS on top. Nothing is sent."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from msgspec import Struct

from aixtivd.oauth.addresses import only_here
from aixtivd.relay.connection import Connection
from aixtivd.relay.failure import UpstreamFailure
from aixtivd.relay.sent import HEAD

CONNECT: Final = 30.0
"""Seconds for name, connection, proxy and TLS together: aiohttp's own figure for a connection."""

_NEXT: Final = 0.25  # seconds after which the next address is tried beside the one before (RFC 8305 §5)

Talks = TypeVar("Talks", bound=asyncio.Protocol)


class Place(Struct, frozen=True):
    """Where an origin is. `shown`: as it stands in a Host header."""

    secure: bool
    host: str
    port: int
    shown: str

    @property
    def name(self) -> str:
        """As a certificate has it."""
        return self.host.rstrip(".")


@lru_cache(maxsize=256)
def place_of(origin: str) -> Place:
    """Of `https://host:port`. Raises ValueError for a host that can have no address."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    ascii_host = host if host.isascii() else host.encode("idna").decode()
    shown = f"[{ascii_host}]" if ":" in host else ascii_host
    secure = parts.scheme == "https"
    usual = 443 if secure else 80
    port = parts.port or usual
    return Place(secure, ascii_host, port, shown if port == usual else f"{shown}:{port}")


async def dial(place: Place, proxy: str | None, context: ssl.SSLContext, make: Callable[[], Connection]) -> Connection:
    """`make`: what talks there from now on. Raises UpstreamFailure."""
    try:
        async with asyncio.timeout(CONNECT):
            if proxy is None:
                return await _directly(place, context, make)
            return await _through(place_of(proxy), place, context, make)
    except TimeoutError:
        _failed(place, f"does not answer: no connection within {CONNECT:g} seconds")
    except ssl.CertificateError:
        _failed(place, "shows a certificate that this machine does not trust")
    except ssl.SSLError:
        _failed(place, "cannot be reached: TLS fails")
    except OSError as error:  # without a number where several addresses were tried
        _failed(place, f"cannot be reached: {os.strerror(error.errno).lower() if error.errno else 'no connection'}")


def _failed(place: Place, what: str) -> NoReturn:
    raise UpstreamFailure(f"{place.host} {what}", maybe_sent=False) from None


async def _directly(place: Place, context: ssl.SSLContext, make: Callable[[], Connection]) -> Connection:
    return (await _opened(place, context if place.secure else None, make))[1]


async def _through(proxy: Place, place: Place, context: ssl.SSLContext, make: Callable[[], Connection]) -> Connection:
    """By CONNECT (RFC 9110 §9.3.6): the proxy hears a host's name and then only what it cannot read."""
    if not place.secure:
        raise ValueError(place)  # plain http is for this machine only, where no proxy is asked
    where = f"{place.shown.removesuffix(f':{place.port}')}:{place.port}"
    try:
        transport, tunnel = await _opened(proxy, context if proxy.secure else None, _Tunnel)
        status = await tunnel.asked(transport, where)
    except ssl.SSLError:
        _failed(place, "cannot be reached: TLS to the proxy fails")
    except OSError:
        _failed(place, "cannot be reached: the proxy does not answer")
    if not 200 <= status <= 299:
        transport.abort()
        _failed(place, f"cannot be reached: the proxy {f'answered {status}' if status else 'does not speak HTTP'}")
    connection = make()
    try:
        inner = await asyncio.get_running_loop().start_tls(transport, connection, context, server_hostname=place.name)
    except BaseException:
        transport.abort()
        raise
    assert inner is not None
    connection.connection_made(inner)
    return connection


async def _opened(
    place: Place, context: ssl.SSLContext | None, make: Callable[[], Talks]
) -> tuple[asyncio.Transport, Talks]:
    loop = asyncio.get_running_loop()
    sock = await start_connection(await _addresses(place), happy_eyeballs_delay=_NEXT)
    try:
        name = place.name if context else None
        opened = await loop.create_connection(make, sock=sock, ssl=context, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    return opened


async def _addresses(place: Place) -> list[AddrInfoType]:
    """An address that is one is not asked about: that would take a thread."""
    try:
        version = ip_address(place.host).version
    except ValueError:
        return await _asked_for(place)
    kind = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    if version == 4:
        return [(socket.AF_INET, *kind, (place.host, place.port))]
    return [(socket.AF_INET6, *kind, (place.host, place.port, 0, 0))]


async def _asked_for(place: Place) -> list[AddrInfoType]:
    loop, kind = asyncio.get_running_loop(), socket.SOCK_STREAM
    try:
        found = await loop.getaddrinfo(place.host, place.port, type=kind, flags=socket.AI_ADDRCONFIG)
        return only_here(place.host, found, lambda one: str(one[4][0]))
    except (OSError, UnicodeError):
        _failed(place, "cannot be found: its name does not resolve")


class _Tunnel(asyncio.Protocol):
    """Talks to a proxy until it has answered CONNECT."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._parser = HttpResponseParser(self)
        self._left = HEAD
        self._status = 0  # of the answer, once its head is there

    async def asked(self, transport: asyncio.Transport, where: str) -> int:
        """The status of its answer; 0: that is none."""
        transport.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        try:
            return await self._answer
        except BaseException:
            transport.abort()
            raise

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._status = 0 if status < 200 else status

    def on_body(self, _: bytes) -> None:
        """Of a refusal; behind a 2xx there is nothing before we have said something."""
        if 200 <= self._status <= 299:
            self._left = -1

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._left = -1
        if not self._answer.done() and (self._status or self._left < 0):
            self._answer.set_result(self._status if self._left >= 0 else 0)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())
