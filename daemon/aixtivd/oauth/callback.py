"""The one-shot server on loopback to which the browser brings the authorization response (RFC 8252 §7.3, D10)."""

import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from aixtivd import log
from aixtivd.errors import SignInFailed
from aixtivd.host import loopback
from aixtivd.host.loopback import bound as _bound
from aixtivd.oauth.client import Client
from aixtivd.oauth.page import HEADERS, Page, render
from aixtivd.oauth.response import Response, parse_pasted, parse_query
from aixtivd.oauth.web import is_loopback

__all__ = ["CallbackListener", "Page", "Response", "listens", "parse_pasted"]

HEAD_CAP: Final = 16 * 1024  # bytes of a request's head; browsers send under 4 KiB, cookies of localhost come on top
READ_LIMIT: Final = 2.0  # seconds for a whole head
WRITE_LIMIT: Final = 5.0  # seconds for our page
CALLERS: Final = 64  # connections at once; browsers open a few ahead of need
TRIES: Final = 20  # ephemeral ports, until one is free on both addresses
PARTING: Final = 2.0  # seconds in which a page that is due may still be written when the owner leaves

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Answerer = Callable[[Response], Awaitable[Page]]


class PortTaken(SignInFailed):
    """the callback's port on this machine is taken"""

    def __init__(self, sentence: str = "", *, hint: str | None = None, ports: tuple[int, ...] = ()) -> None:
        super().__init__(sentence, hint=hint)
        self.ports = ports


def listens(client: Client) -> bool:
    """False where the redirect URI is not ours to listen on: then the answer can only be pasted."""
    if not client.redirect_uri:
        return True
    try:
        parts = urlsplit(client.redirect_uri)
        return parts.scheme == "http" and is_loopback(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


class CallbackListener:
    """Serves one path until its owner leaves. `answer` is awaited for each well-formed response, one at a time.

    What `answer` returns is shown only after it has returned; a Page that is `ok` uses the listener up. Everything
    else (another path, method or host, a response that is none, a wrong `state`) leaves it open.
    """

    def __init__(self, client: Client, port: int, answer: Answerer) -> None:
        """`port`: 0 for the client's own, or any. Raises SignInFailed when it contradicts the client's redirect URI."""
        named = urlsplit(client.redirect_uri) if client.redirect_uri else None
        self._host = (named.hostname or "") if named else client.quirks.redirect_host
        self._path = (named.path or "/") if named else client.quirks.redirect_path
        self._query = f"?{named.query}" if named and named.query else ""
        if named and named.port and port not in {0, named.port}:
            raise SignInFailed(f"the redirect URI {client.redirect_uri} is on another port than {port}")
        wanted = (named.port if named else 0) or port
        self._ports = (wanted,) if wanted else client.quirks.redirect_ports
        self._answer = answer
        self._turn = anyio.Lock()
        self._callers = 0
        self._silent: dict[anyio.CancelScope, None] = {}  # those without a whole head, the longest first
        self._warned = False
        self._used = False
        self._due = 0  # responses that were read whole and whose page is not yet written
        self._idle = anyio.Event()
        self._closing = AsyncExitStack()
        self._scope = anyio.CancelScope()
        self.port = 0

    @property
    def redirect_uri(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}{self._path}{self._query}"

    async def __aenter__(self) -> Self:
        """Raises SignInFailed where no port can be had."""
        sockets = self._bind()
        self.port = int(sockets[0].getsockname()[1])
        listeners = [await SocketListener.from_socket(bound) for bound in sockets]
        tasks = await self._closing.enter_async_context(anyio.create_task_group())
        self._scope = tasks.cancel_scope
        for listener in listeners:
            tasks.start_soon(self._accept, listener)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A page that is due is still written, for a moment: the owner leaves as soon as `answer` has done its work.

        The owner's own error is not shown to the task group, which would wrap it into a group of errors.
        """
        with anyio.move_on_after(PARTING, shield=True):
            while self._due:
                self._idle = anyio.Event()
                await self._idle.wait()
        self._scope.cancel()
        await self._closing.aclose()

    def _bind(self) -> list[socket.socket]:
        for port in self._ports or (0,) * TRIES:
            if sockets := _bind_both(port):
                return sockets
        if self._ports:
            named = " or ".join(str(port) for port in self._ports)
            raise PortTaken(
                f"port {named} on this machine is taken", hint=f"lsof -i :{self._ports[0]}", ports=self._ports
            )
        raise SignInFailed("no port on this machine is free on both 127.0.0.1 and ::1")

    async def _accept(self, listener: SocketListener) -> None:
        async with listener:
            await listener.serve(self._serve)

    async def _serve(self, stream: SocketStream) -> None:
        """One request of one connection. Whatever the other side does is its own business."""
        async with stream:
            if self._callers >= CALLERS and not self._hang_up_on_the_silent():
                return
            self._callers += 1
            try:
                await self._converse(stream)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                pass  # it hung up
            finally:
                self._callers -= 1

    def _hang_up_on_the_silent(self) -> bool:
        """Makes room at the cost of who has said nothing for longest: who brings an answer says it at once.

        Otherwise anybody on this machine, and any page in the browser, could keep the answer out with idle connections.
        """
        for patience in self._silent:
            del self._silent[patience]
            patience.cancel()
            return True
        return False

    async def _converse(self, stream: SocketStream) -> None:
        head = await self._head(stream)
        if head is None:
            return
        self._due += 1
        try:
            status, page = await self._reply(stream, head)
            await _write(stream, status, page)
        finally:
            self._due -= 1
            self._idle.set()

    async def _head(self, stream: SocketStream) -> bytes | None:
        """None where it does not come whole, or not in time."""
        with anyio.move_on_after(READ_LIMIT) as patience:
            self._silent[patience] = None
            try:
                return await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", HEAD_CAP)
            except anyio.DelimiterNotFound:
                return b" " * (HEAD_CAP + 1)
            except anyio.IncompleteRead:
                return None
            finally:
                self._silent.pop(patience, None)
        return None

    async def _reply(self, stream: SocketStream, head: bytes) -> tuple[int, Page]:
        if len(head) > HEAD_CAP:  # `receive_until` notices only what comes in more than one piece
            return 431, Page("Too large", "That request is too large for aixtiv.", ok=False)
        method, target, hosts = _parse(head)
        path, _, query = target.partition("?")
        if not method:
            return 400, Page("Not understood", "That is not a request aixtiv understands.", ok=False)
        if not self._is_ours(hosts):
            return 421, Page("Not here", "This address is not reached by that name.", ok=False)
        if path != self._path:
            return 404, Page("Nothing here", "aixtiv only waits here for the end of a sign-in.", ok=False)
        if method != "GET":
            return 405, Page("Not understood", "Only a browser's redirect is expected here.", ok=False)
        return await self._respond(stream, query)

    async def _respond(self, stream: SocketStream, query: str) -> tuple[int, Page]:
        if not await self._from_us(stream):
            return 403, Page("Not yours", "This sign-in belongs to another user of this machine.", ok=False)
        async with self._turn:
            if self._used:
                return 410, Page("Already done", "This sign-in was finished before.", ok=False, command="aixtiv status")
            try:
                response = parse_query(query)
            except SignInFailed as failure:
                return 400, Page("Not signed in", failure.sentence, ok=False)
            if not response.state:
                return 400, Page("Not signed in", "that answer of the provider holds no state", ok=False)
            page = await self._answered(response)
            self._used = page.ok
            return (200 if page.ok else 400), page

    async def _from_us(self, stream: SocketStream) -> bool:
        """Another user may have seen the state go by, in a list of processes say, and sign in as somebody else."""
        connection = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
        here, there = connection.getsockname()[:2], connection.getpeername()[:2]
        if await anyio.to_thread.run_sync(loopback.is_ours, here, there):
            return True
        if not self._warned:
            self._warned = True  # once is enough: they could fill the log
            log.warning("callback-of-another-user", port=self.port)
        return False

    async def _answered(self, response: Response) -> Page:
        try:
            return await self._answer(response)
        except Exception as error:  # noqa: BLE001 - a defect behind it must still end in a page, and not end the owner
            log.error("callback-failed", exception=type(error).__name__)
            return Page("Not signed in", "aixtiv itself failed; its log says where.", ok=False, command="aixtiv status")

    def _is_ours(self, hosts: list[str]) -> bool:
        """Exactly one Host, of this listener: a name that a page had resolved to 127.0.0.1 is refused (rebinding)."""
        names = ("127.0.0.1", "localhost", "[::1]")
        ours = {f"{name}:{self.port}" for name in names} | (set(names) if self.port == 80 else set())
        return len(hosts) == 1 and hosts[0].lower() in ours


def _parse(head: bytes) -> tuple[str, str, list[str]]:
    """Method, target and the values of Host; an empty method for what is not HTTP/1."""
    try:
        first, *rest = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return "", "", []
    if any(_CONTROL.search(line) for line in rest):  # a bare line break: a header in a header
        return "", "", []
    words = first.split(" ")
    if len(words) != 3 or words[2] not in {"HTTP/1.1", "HTTP/1.0"} or not words[0].isalpha():
        return "", "", []
    if any(ord(letter) < 32 or ord(letter) > 126 for letter in words[1]) or not words[1].startswith("/"):
        return "", "", []
    hosts = [value.strip() for name, _, value in (line.partition(":") for line in rest) if name.lower() == "host"]
    return words[0], words[1], hosts


async def _write(stream: SocketStream, status: int, page: Page) -> None:
    body = render(page)
    headers = HEADERS | {"Content-Length": str(len(body)), "Connection": "close"}
    if status == 405:
        headers |= {"Allow": "GET"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with anyio.move_on_after(WRITE_LIMIT):
        await stream.send(f"HTTP/1.1 {status} aixtiv\r\n{head}\r\n".encode() + body)
        await stream.send_eof()


def _bind_both(port: int) -> list[socket.socket]:
    """Both loopback addresses on one port; only 127.0.0.1 where the machine has no ::1; empty if the port is taken.

    Taken on ::1 alone counts as taken: a browser that tries `localhost` there first would give the code to a stranger.
    """
    try:
        four = _bound(socket.AF_INET, "127.0.0.1", port)
    except OSError:
        return []
    if not _has_ipv6():
        return [four]
    try:
        return [four, _bound(socket.AF_INET6, "::1", four.getsockname()[1])]
    except OSError:
        four.close()
        return []


def _has_ipv6() -> bool:
    try:
        _bound(socket.AF_INET6, "::1", 0).close()
    except OSError:
        return False
    return True
