"""Connections to APIs over one way there (`[network]`), each kept for the next call of its lane."""

import asyncio
import ssl
from collections.abc import AsyncIterable
from functools import partial

from aixtivd.relay.connection import Connection, Request
from aixtivd.relay.dialing import dial, place_of
from aixtivd.relay.failure import UpstreamFailure
from aixtivd.relay.heads import LENGTH, WITH_BODY
from aixtivd.relay.sent import End, Sent

Key = tuple[str, str | None, int]
"""Origin, proxy and lane: no answer that goes astray reaches the caller of another lane."""


class Line:
    """There is no bound: one API that hangs must not use up the connections of the others."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._open: set[Connection] = set()
        self._idle: dict[Key, list[Connection]] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | AsyncIterable[bytes] | None,
        proxy: str | None,
        lane: int = 0,
    ) -> Sent:
        """Sends once, and returns with the answer's head. `lane`: whose connections may be used, and are left for.

        On a connection that turns out to be closed nothing was sent: it takes another. Raises UpstreamFailure.
        """
        path = url.find("/", len("https://"))
        origin = url[:path]
        try:
            place = place_of(origin)
        except ValueError:
            raise UpstreamFailure("the API's name is none that can be found", maybe_sent=False) from None
        chunked = not (body is None or isinstance(body, bytes) or any(name == LENGTH for name, _ in headers))
        request = Request(
            place.host,
            head_of(method, url[path:], place.shown, headers, chunked=chunked),
            b"" if body is None else body,
            chunked,
            bodiless=method == "HEAD",
            lasting=not body or method in WITH_BODY,  # who ignores such a body reads a next request there
        )
        key = origin, proxy, lane
        connection = self._kept(key)
        if connection is None:
            make = partial(Connection, partial(self._keep, key), partial(self._drop, key))
            connection = await dial(place, proxy, self._context, make)
            self._open.add(connection)
        return await connection.send(request)

    async def aclose(self) -> None:
        """Ends what is under way, too."""
        for connection in tuple(self._open):
            connection.fail(End.CUT)
        await asyncio.sleep(0)  # in which their transports let go of them

    def _kept(self, key: Key) -> Connection | None:
        while idle := self._idle.get(key):
            connection = idle.pop()  # the one that was used last: the others may end
            if connection.usable:
                return connection
            connection.abort()
        return None

    def _keep(self, key: Key, connection: Connection) -> None:
        self._idle.setdefault(key, []).append(connection)

    def _drop(self, key: Key, connection: Connection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(key)
        if idle is not None and connection in idle:
            idle.remove(connection)
        if not idle:
            self._idle.pop(key, None)


def head_of(method: str, target: str, host: str, headers: list[tuple[str, str]], *, chunked: bool) -> bytes:
    """The headers as they are, in their order. Raises ValueError for what would end a line early."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *[f"{name}: {value}" for name, value in headers]]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError(method)  # all of it was checked: this is a defect, and nothing of it may be sent
    return (text + "\r\n\r\n").encode()
