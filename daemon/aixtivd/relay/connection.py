"""aiohttp's client as the relay needs it: nothing added, nothing decoded, nothing followed, nothing sent twice.

Loaded in a thread when first needed (`upstream`), since aiohttp takes 0.4 s.
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from aixtivd.errors import Unreachable
from aixtivd.oauth.resolver import Resolver
from aixtivd.oauth.web import in_words
from aixtivd.relay.heads import LENGTH, WITH_BODY

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage

CONNECT: Final = 30.0
"""Seconds for name, connection, proxy and TLS together: aiohttp's own figure for a connection."""

SILENCE: Final = 600.0
"""Seconds without a byte. A message that is not streamed may take the ten minutes that the SDKs give it."""

IDLE: Final = 15.0
"""Seconds that a connection is kept for the next call: less than servers keep theirs (60 s and more)."""

HEAD: Final = 64 * 1024
"""Bytes of an answer's head, with the ones before it (1xx): what a caller's head may have, too."""

_HEAD_LINES: Final = 512
"""Of it, far above what real ones have."""

_NOT_OURS: Final = ("Content-Type",)
"""What aiohttp adds where a caller has sent none, when a request is already on its way; the rest, see `_write_head`."""


class UpstreamFailure(Unreachable):
    """the API cannot be reached"""

    hint = "aixtiv doctor"

    def __init__(self, sentence: str, *, maybe_sent: bool) -> None:
        super().__init__(sentence)
        self.maybe_sent = maybe_sent  # False: surely no byte of the call left this machine


class Stale(Exception):
    """the API has closed this connection, and nothing was sent on it"""


Carried = dict[object, "Attempt"]
"""Open connections (their protocols) that have carried a call, and the newest one that they did."""


class Attempt:
    """One time of sending: how far it got, and the only place that ends it early."""

    def __init__(self, host: str, headers: list[tuple[str, str]], carried: Carried, lane: int) -> None:
        self.sending = False  # from here on the API may have got something
        self.host = host
        self.lane = lane
        self._headers = headers
        self._carried = carried
        self._transport: asyncio.Transport | None = None
        self._content: aiohttp.StreamReader | None = None  # of the answer
        self._lost = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """As aiohttp's middleware: what is raised here is beyond its own way of repeating a request."""
        assert isinstance(request, Request)
        request.attempt = self
        self._write_head(request)
        try:
            return _checked(await handler(request))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self.abort()
            raise self.failure(error) from None
        except BaseException:
            self.abort()
            raise

    def _write_head(self, request: aiohttp.ClientRequest) -> None:
        """The headers as they are: aiohttp's way of taking them drops one of two names that differ only in case."""
        head = CIMultiDict([("Host", request.headers["Host"]), *self._headers])
        if request.chunked:
            head["Transfer-Encoding"] = "chunked"
        request.headers = head
        self._headers = []

    def take(self, connection: "Connection") -> None:
        """Just before the head is written. Raises Stale where the other side has gone meanwhile, or said something.

        What came unasked would be taken for the answer to this call, and it may be another's.
        """
        self._transport = connection.transport
        protocol = connection.protocol
        if protocol in self._carried:
            if protocol is None or protocol.should_close or _readable(self._transport):
                raise Stale
            self._carried[protocol] = self
        elif protocol is not None and (closed := protocol.closed) is not None:
            closed.add_done_callback(partial(_tell_lost, self._carried, protocol))
            self._carried[protocol] = self
        self.sending = True

    def receive(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        if self._lost:
            self.lose()

    def lose(self) -> None:
        """The connection has ended. aiohttp does not tell who reads where it ended for a chunk that is none (seen)."""
        self._lost = True
        if self._content is not None and not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError())

    def end(self) -> None:
        """Nothing is left of it but its place in the book of connections."""
        self._transport = self._content = None

    def abort(self) -> None:
        """At once: `close` would first send what is still buffered to a server that may never read it."""
        if self._transport is not None:
            self._transport.abort()

    def failure(self, error: Exception) -> UpstreamFailure:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            what = f"does not answer: no connection within {CONNECT:g} seconds"
        elif isinstance(error, TimeoutError):
            what = f"does not answer: nothing has come for {SILENCE:g} seconds"
        else:
            what = in_words(error)
        if self.sending:
            what += ", and the call may have run"
        return UpstreamFailure(f"{self.host} {what}", maybe_sent=self.sending)


class Request(aiohttp.ClientRequest):
    attempt: Attempt | None = None

    @property
    def connection_key(self) -> "ConnectionKey":
        """Calls of different lanes never share a connection: no answer that goes astray reaches another's caller."""
        assert self.attempt is not None
        return super().connection_key._replace(proxy_headers_hash=self.attempt.lane)  # of which there are none

    async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
        if self.attempt is not None:  # None: a proxy's CONNECT
            self.attempt.take(conn)
            if self.method not in WITH_BODY and self.body and conn.protocol is not None:
                conn.protocol.force_close()  # who ignores such a body reads a next request there, and answers it
        return await super().send(conn)


class Handler(ResponseHandler):
    """aiohttp's, that knows no bound for a head as a whole, and no byte that came unasked but a whole message."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._awaited: int | None = None  # bytes that an answer's head may still have; None: there is nothing to come

    def set_response_params(self, **params: Any) -> None:
        """An answer is waited for."""
        self._awaited = HEAD
        super().set_response_params(**params)

    def feed_data(self, data: "tuple[RawResponseMessage, aiohttp.StreamReader]", size: int = 0) -> None:
        """A head has come."""
        if not 100 <= data[0].code < 200:
            self._awaited = None
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if data and self._awaited is None and (self._payload is None or self._payload.is_eof()):
            self.force_close()
        super().data_received(data)
        if self._awaited is None:
            return
        self._awaited -= len(data)
        if self._awaited < 0 and self.transport is not None:
            self.transport.abort()
            self.set_exception(aiohttp.http.HttpProcessingError())


class Connector(aiohttp.TCPConnector):
    def __init__(self, context: ssl.SSLContext) -> None:
        # No limit: one API that hangs must not use up the connections of the others.
        super().__init__(ssl=context, resolver=Resolver(), limit=0, keepalive_timeout=IDLE)
        self._factory = cast("partial[ResponseHandler]", partial(Handler, loop=self._loop))


class Sent:
    """An answer whose head is there. `pieces` may be read once; `close` ends it, wherever it is."""

    def __init__(self, response: aiohttp.ClientResponse, attempt: Attempt) -> None:
        self.status = response.status
        self.reason = response.reason or ""
        self.raw_headers = response.raw_headers
        self.received = 0
        self.whole = False  # known when it is closed: all of it was read
        self._closed = False
        self._response: aiohttp.ClientResponse | None = response
        self._attempt = attempt
        self._read = response.content.readany
        attempt.receive(response.content)

    def __aiter__(self) -> "Sent":
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._read()
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, RuntimeError) as error:
            self._abort()
            silent = isinstance(error, TimeoutError)
            what = f"sent nothing for {SILENCE:g} seconds" if silent else "cut the connection"
            sentence = f"{self._attempt.host} {what} in the middle of its answer"
            raise UpstreamFailure(sentence, maybe_sent=True) from None
        if not piece:
            raise StopAsyncIteration
        self.received += len(piece)
        return piece

    def close(self) -> None:
        if self._closed or self._response is None:
            return
        self._closed = True
        content = self._response.content
        self.whole = content.at_eof() and content.exception() is None
        if not self.whole:
            self._abort()
        self._response.close()

    def _abort(self) -> None:
        """Where it is ours: of an answer that has come whole, read or not, the connection may carry another call."""
        if self._response is not None and self._response.connection is not None:
            self._attempt.abort()

    def forget(self) -> None:
        """Ends it and lets go of the request, whose head holds the credential. Reading on raises."""
        self.close()
        self._response = None
        self._read = _forgotten

    async def put_away(self) -> None:
        """Ends it, and returns when nobody sends its request's body any more."""
        self.close()
        if self._response is not None:
            with suppress(aiohttp.ClientError, OSError):  # of the one who did
                await self._response.wait_for_close()


class Line:
    """Connections to APIs over one way there (`[network]`)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._carried: Carried = {}
        self._session = aiohttp.ClientSession(
            connector=Connector(context),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=SILENCE),
            auto_decompress=False,
            skip_auto_headers=_NOT_OURS,
            request_class=Request,
            max_line_size=HEAD,
            max_field_size=HEAD,
            max_headers=_HEAD_LINES,
        )

    async def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | AsyncIterable[bytes] | None,
        proxy: str | None,
        lane: int = 0,
    ) -> Sent | None:
        """Sends once, and returns with the answer's head. None: on a connection that was closed; nothing was sent.

        `lane`: which connections may be used, and are left for which calls. Raises UpstreamFailure.
        """
        where = URL(url, encoded=True)
        attempt = Attempt(where.host or "", headers, self._carried, lane)
        framing = [pair for pair in headers if pair[0] == LENGTH]  # tells aiohttp that it is not to send chunks
        try:
            response = await self._session.request(
                method, where, headers=framing, data=body, allow_redirects=False, proxy=proxy, middlewares=(attempt,)
            )
        except Stale:
            return None
        return Sent(response, attempt)

    async def aclose(self) -> None:
        await self._session.close()


def _checked(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Raises ValueError for an answer that cannot be handed on: HTTP, but none that a caller could read."""
    if fault := _fault(response):
        response.close()
        raise ValueError(fault)
    return response


def _fault(response: aiohttp.ClientResponse) -> str:
    if not 200 <= response.status <= 599:  # a 101 for an upgrade that nobody asked for, too
        return "its status is not that of an answer"
    if sum(len(name) + len(value) for name, value in response.raw_headers) > HEAD:
        return "its head is too large"
    coded = response.headers.getall("Transfer-Encoding", ())
    if [coding.lower() for coding in coded] not in ([], ["chunked"]):  # aiohttp undoes no other, and says nothing
        return "its transfer coding is none of ours"
    return ""


async def _forgotten() -> bytes:
    raise aiohttp.ClientPayloadError


def _tell_lost(carried: Carried, protocol: object, closed: "asyncio.Future[None]") -> None:
    closed.exception()  # why, says whoever writes or reads there
    carried.pop(protocol).lose()


def _readable(transport: asyncio.Transport | None) -> bool:
    """Something has come where nothing was asked: the connection's end, as a rule, which the loop has not read yet.

    httpcore and urllib3 look in the same way before they use a connection again.
    """
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return transport.is_closing() or bool(poll.poll(0))
