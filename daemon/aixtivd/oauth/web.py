"""One HTTP request to a provider, carried by aiohttp: the whole answer, or how far it got.

Nothing is ever sent twice: connections are not reused, so aiohttp has no occasion to resend on a stale one, and
redirects are not followed.
"""

import asyncio
import importlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

import anyio
from msgspec import Struct

from aixtiv_protocol import VERSION
from aixtivd.config import Network
from aixtivd.errors import Misconfigured, Unreachable

if TYPE_CHECKING:
    import ssl

    import aiohttp

BODY_CAP: Final = 1024 * 1024
"""Bytes of an answer's body (claude.md: refuse token bodies over 1 MiB). Real ones have a few kilobytes."""

_STOOD_STILL: Final = 1.0  # seconds by which a timer is late: then nobody ran, and nobody read
_MORE: Final = 5.0  # seconds for what came meanwhile, or is still on its way

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_OURS: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",  # answers are small, and a compressed one could be a bomb
    "user-agent": f"aixtiv/{VERSION}",
}


class Answer(Struct, frozen=True):
    """A whole answer. Its body can hold tokens, and is shown by no `repr`."""

    status: int
    headers: Mapping[str, str]  # names in lower case; of a repeated one the first, of WWW-Authenticate all
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("status", self.status), ("bytes", len(self.body))]


class WebFailure(Unreachable):
    """the provider cannot be reached"""

    def __init__(
        self,
        sentence: str,
        *,
        maybe_sent: bool,
        status: int = 0,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
    ) -> None:
        super().__init__(sentence)
        self.maybe_sent = maybe_sent  # False: surely no byte of the request left this machine towards the provider
        self.status = status  # of an answer whose head came and whose body did not; 0: not even a head
        self.headers = headers
        self.body = body  # as much of it as came: it can hold tokens


class Web:
    """The daemon's way to providers. `skews`: host -> seconds its clock is ahead of ours, as last measured."""

    def __init__(self, network: Network) -> None:
        self.skews: dict[str, float] = {}
        self._network = network
        self._opening = anyio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []

    def configure(self, network: Network) -> None:
        """Other settings for what is sent from now on. What is under way ends on the session it began on."""
        if network == self._network:
            return
        self._network = network
        if self._session is not None:
            self._retired.append(self._session)  # it keeps no connection, so it may wait for `aclose`
            self._session = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - the limit is part of what is asked, and its failure is sorted here
    ) -> Answer:
        """Sends once. `timeout`: seconds from name lookup to the last byte.

        Raises WebFailure, or Misconfigured for a URL that is never sent to or a `ca-file` that is none.
        """
        parts = check_url(url)
        session = await self._opened()
        import aiohttp  # noqa: PLC0415 - heavy: has been loaded by now, not in the loop's thread

        progress = _Progress(host=_shown(parts))
        try:
            with _patience(timeout):
                async with session.request(
                    method,
                    url,
                    headers=_OURS | dict(headers),
                    data=body,
                    allow_redirects=False,
                    proxy=proxy_for(self._network, parts.hostname or ""),
                    trace_request_ctx=progress,
                ) as response:
                    return await self._read(response, progress)
        except TimeoutError:
            raise progress.failure(f"did not answer within {timeout:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise progress.failure(in_words(error)) from None

    async def aclose(self) -> None:
        sessions = [*self._retired, self._session]
        self._retired, self._session = [], None
        for session in sessions:
            if session is not None:
                await session.close()

    async def _read(self, response: "aiohttp.ClientResponse", progress: "_Progress") -> Answer:
        progress.status = response.status
        progress.headers = {name.lower(): value for name, value in reversed(list(response.headers.items()))}
        if challenges := response.headers.getall("WWW-Authenticate", []):  # each line may be for another scheme
            progress.headers |= {"www-authenticate": ", ".join(challenges)}
        self._measure(response.url.host or "", progress)
        async for chunk in response.content.iter_chunked(65536):
            progress.body += chunk
            if len(progress.body) > BODY_CAP:
                raise progress.failure(f"answered with more than {BODY_CAP} bytes")
        return Answer(response.status, progress.headers, bytes(progress.body))

    def _measure(self, host: str, progress: "_Progress") -> None:
        """Only fresh answers tell the time: one from a cache (`Age`) is older than it looks."""
        date = http_date(progress.headers.get("date", ""))
        if date is None or "age" in progress.headers:
            return
        between = (progress.sent_at + time.time()) / 2
        self.skews[host] = round(date + 0.5 - between, 1)  # a Date is cut to whole seconds: half a one is missing

    async def _opened(self) -> "aiohttp.ClientSession":
        async with self._opening:
            if self._session is None:
                context = await anyio.to_thread.run_sync(_loaded, self._network.ca_file)
                import aiohttp  # noqa: PLC0415 - heavy: see `_loaded`

                from aixtivd.oauth.resolver import Resolver  # noqa: PLC0415 - heavy

                tracing = aiohttp.TraceConfig()
                tracing.on_request_headers_sent.append(_mark_sent)
                self._session = aiohttp.ClientSession(
                    # No limit: a provider that hangs must not use up the connections of the others.
                    connector=aiohttp.TCPConnector(ssl=context, resolver=Resolver(), force_close=True, limit=0),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=None),
                    trace_configs=[tracing],
                )
            return self._session


class _Progress:
    """How far one request has got."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.sent = False
        self.sent_at = time.time()
        self.status = 0
        self.headers: Mapping[str, str] = _NO_HEADERS
        self.body = bytearray()

    def failure(self, what: str) -> WebFailure:
        return WebFailure(
            f"{self.host} {what}",
            maybe_sent=self.sent,
            status=self.status,
            headers=self.headers,
            body=bytes(self.body),
        )


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Raises TimeoutError after that time; but not at once where the process stood still meanwhile (SIGSTOP, a busy
    machine): what came in that time lies unread in the socket, and may be the only copy of a token.
    """
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:

        def over(due: float) -> None:
            if loop.time() - due < _STOOD_STILL:
                scope.cancel()
            else:
                wait(_MORE)

        def wait(seconds: float) -> None:
            due = loop.time() + seconds
            timers.append(loop.call_at(due, over, due))

        timers: list[asyncio.TimerHandle] = []
        wait(seconds)
        try:
            yield
        finally:
            timers[-1].cancel()
    if scope.cancelled_caught:
        raise TimeoutError


def _loaded(ca_file: str) -> "ssl.SSLContext":
    """In a thread: half a second of imports and certificates in which the loop goes on."""
    importlib.import_module("aiohttp")
    return tls_context(ca_file)


async def _mark_sent(_session: object, context: SimpleNamespace, _params: object) -> None:
    """aiohttp calls this just before the head's bytes are written: nothing before it can have reached the provider.

    It is not called for a proxy's CONNECT, which carries nothing of ours.
    """
    progress: Any = context.trace_request_ctx
    progress.sent = True
    progress.sent_at = time.time()


def proxy_for(network: Network, host: str) -> str | None:
    """None: directly. Loopback is never reached through a proxy."""
    if not network.proxy or is_loopback(host):
        return None
    for name in network.no_proxy:
        if name == "*" or host == name.lower() or (name.startswith(".") and host.endswith(name.lower())):
            return None
    return network.proxy


def tls_context(ca_file: str) -> "ssl.SSLContext":
    """Reads the system's certificates: 10 to 30 ms of disk and CPU, hence in a thread."""
    import ssl  # noqa: PLC0415 - heavy: loads when first needed

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # $SSLKEYLOGFILE would have it write down what opens every connection.
    context.keylog_filename = None  # type: ignore[assignment]  # typeshed does not know that None takes it back
    if ca_file:
        try:
            context.load_verify_locations(Path(ca_file).expanduser())
        except OSError:
            sentence = f"network.ca-file: {ca_file} is not a file of PEM certificates"
            raise Misconfigured(sentence, hint="aixtiv config check") from None
    return context


def in_words(error: Exception) -> str:  # noqa: PLR0911 - a table
    """What aiohttp says, as the end of a sentence that begins with the host's name. Never its own text."""
    import aiohttp  # noqa: PLC0415 - heavy: loads when first needed

    match error:
        case aiohttp.ClientHttpProxyError():
            return f"cannot be reached: the proxy answered {error.status}"
        case aiohttp.ClientProxyConnectionError():
            return "cannot be reached: the proxy does not answer"
        case aiohttp.ClientConnectorDNSError():
            return "cannot be found: its name does not resolve"
        case aiohttp.ClientConnectorCertificateError():
            return "shows a certificate that this machine does not trust"
        case aiohttp.ClientConnectorSSLError():
            return "cannot be reached: TLS fails"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno  # none where several addresses were tried
            return f"cannot be reached: {os.strerror(number).lower() if number else 'no connection'}"
        case aiohttp.ClientResponseError() | ValueError():
            return "answered with something that is not HTTP"
        case _:
            return "cut the connection"


def check_url(url: str) -> SplitResult:
    """https, or http on loopback, without user and password. Raises Misconfigured.

    Blanks, control characters and backslashes are where two readers of a URL see two different hosts.
    """
    if any(letter.isspace() or not letter.isprintable() or letter == "\\" for letter in url):
        raise Misconfigured(f"{url[:100]!r} is not a URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Misconfigured(f"{url[:100]!r} is not a URL") from None
    if not host or parts.scheme not in {"http", "https"}:
        raise Misconfigured(f"{url[:100]!r} is not an https:// URL")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured(f"a URL with user and password is not used: {host}")
    if parts.scheme == "http" and not is_loopback(host):
        raise Misconfigured(f"plain http is used on this machine only, not for {host}: give an https:// URL")
    return parts


def is_loopback(host: str) -> bool:
    """Surely: a plain connection there leaves this machine in no case."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_be_loopback(host: str) -> bool:
    """Also by another name: `x.localhost` (RFC 6761 §6.3), `127.1` and `0`, which C libraries read, `::ffff:7f00:1`."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def http_date(text: str) -> float | None:
    """Unix time of an HTTP-date (RFC 9110 §5.6.7)."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - heavy: loads when first needed

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _shown(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
