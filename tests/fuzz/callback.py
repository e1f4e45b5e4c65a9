"""The callback listener: one connection of whoever knocks at its port while a sign-in is open."""

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

import anyio
import uvloop
from anyio.abc import SocketStream

from aixtivd.oauth.callback import CallbackListener, Page, Response
from aixtivd.oauth.client import Client
from fuzz.target import Target

_PORT: Final = 4711
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*(127\.0\.0\.1|localhost|\[::1\]):4711[ \t]*\r\n", re.IGNORECASE)
_CLIENT: Final = Client(provider="p", client_id="me", token_endpoint="https://i.example/token")


class _Line(SocketStream):
    """What a caller sends comes in pieces; what is answered is kept."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]
        self.written = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._pieces:
            raise anyio.EndOfStream
        return self._pieces.pop(0)

    async def send(self, item: bytes) -> None:
        self.written += item

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...

    @property
    def _raw_socket(self) -> socket.socket:
        raise AssertionError("nobody asks")

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


class _Listener(CallbackListener):
    """As if every caller were of this machine's own user: the kernel's word has tests of its own."""

    async def _from_us(self, stream: SocketStream) -> bool:
        return True


def request(data: bytes) -> None:
    """Whatever is said, there is silence or one whole answer; a response is believed of nothing but a plain GET."""
    found: list[Response] = []
    size = 1 + (data[0] if data else 0) * 16
    line = _Line(data[1:], size)
    _loop().run_until_complete(_served(line, found))
    head, _, body = line.written.partition(b"\r\n\r\n")
    assert not line.written or head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 4"))
    assert not line.written or f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert not found or (data[1:].startswith(b"GET /callback?") and _HOST.search(data) and found[0].state)


async def _served(line: _Line, found: list[Response]) -> None:
    async def answer(response: Response) -> Page:
        found.append(response)
        return Page("Not signed in", "another state", ok=False)

    listener = _Listener(_CLIENT, 0, answer)
    listener.port = _PORT
    await listener._serve(cast("SocketStream", line))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


def _seeds() -> list[bytes]:
    first = b"GET /callback?code=abc&state=xyz HTTP/1.1\r\n"
    browsers = b"User-Agent: Mozilla/5.0\r\nAccept: text/html\r\nSec-Fetch-Site: cross-site\r\n\r\n"
    return [
        b"\xff" + first + b"Host: 127.0.0.1:4711\r\n" + browsers,
        b"\0" + first + b"Host: localhost:4711\r\n\r\n",
        b"\xff" + first.replace(b"code=abc", b"error=access_denied") + b"Host: [::1]:4711\r\n\r\n",
        b"\1" + b"POST / HTTP/1.0\r\nHost: 127.0.0.1:4711\r\nContent-Length: 3\r\n\r\nabc",
    ]


_WORDS: Final = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"Host: 127.0.0.1:4711\r\n", b"Host:localhost:4711\r\n", b" HTTP/1.1\r\n", b"%00"),
    *(b"GET /callback?code=a&state=b HTTP/1.1\r\n", b"?", b"&state=", b"code=", b"http://127.0.0.1:4711", b"x" * 17000),
)

TARGETS: Final = (Target("callback", request, _seeds, longest=20_000, words=_WORDS),)
