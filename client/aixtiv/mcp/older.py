"""HTTP+SSE (MCP 2024-11-05): one stream of the server's, which first says where messages are to be posted."""

import threading
from contextlib import suppress
from typing import Final
from urllib.parse import urljoin, urlsplit

from aixtiv.failures import AixtivError, Unreachable
from aixtiv.mcp.door import Door
from aixtiv.mcp.events import events
from aixtiv.mcp.messages import Message
from aixtiv.mcp.pipe import Pipe
from aixtiv.mcp.signing import sentence
from aixtiv.mcp.streamable import JSON, REFUSAL, STREAM, NewSession, kind_of, said
from aixtiv.relayed import Relayed

_FIRST: Final = 30.0  # seconds for the stream's first event


class OlderTransport:
    def __init__(self, door: Door, pipe: Pipe) -> None:
        self._door = door
        self._pipe = pipe
        self._opening = threading.Lock()
        self._stream: Relayed | None = None
        self._number = 0  # of the stream
        self._where = ""  # path of what is posted
        self._told = threading.Event()  # where, or why not
        self._problem = ""
        self._over = False
        self._quiet: frozenset[bytes] = frozenset()  # ids whose answers the client has had already

    def send(self, message: Message, *, first: bool = False, quiet: bool = False) -> None:
        """Returns when the server has taken it: the answer comes on the stream. Raises AixtivError."""
        if quiet:
            self._quiet |= set(message.asks)
        with self._opening:
            if self._stream is None:
                if not (first or message.method == "initialize"):
                    raise NewSession(self.session)
                self._open()
        with self._door.call("POST", self._where, (JSON,), message.raw) as answer:
            if not 200 <= answer.status < 300:
                raise AixtivError(said(answer, answer.beginning(REFUSAL)))

    @property
    def session(self) -> str:
        """The stream: whoever was greeted on one that is lost is to be greeted on the next, once."""
        return str(self._number)

    def _open(self) -> None:
        answer = self._door.call("GET", self._door.server.path, (STREAM,), again=True)
        if answer.status != 200 or kind_of(answer) != "text/event-stream":
            body = answer.beginning(REFUSAL)
            answer.close()
            raise AixtivError(said(answer, body))
        self._told.clear()
        self._where = self._problem = ""
        self._stream = answer
        self._number += 1
        threading.Thread(target=self._hear, args=(answer,), daemon=True).start()
        if not self._told.wait(_FIRST) or not self._where:
            self._stream = None
            answer.cut()
            raise AixtivError(self._problem or "the server's stream does not say where messages are posted")

    def _hear(self, stream: Relayed) -> None:
        why = "the server ended its stream"
        try:
            with self._door.standing.held(stream):
                for event in events(stream):
                    if event.kind == "endpoint":
                        self._where = self._path(event.data.decode(errors="replace"))
                        self._told.set()
                    elif event.kind == "message" and event.data:
                        self._pipe.deliver(event.data, but=self._quiet)
        except AixtivError as failure:
            why = sentence(failure)
        finally:
            stream.close()
            self._ended(stream, why)

    def _path(self, where: str) -> str:
        """Raises Unreachable where it leads to another server: whoever is told there would hear what is ours."""
        server = self._door.server
        try:
            parts = urlsplit(urljoin(server.url, where))
        except ValueError:  # which quotes it
            raise Unreachable("the server wants messages to be posted at what is no URL") from None
        if f"{parts.scheme}://{parts.netloc}" != server.origin:
            raise Unreachable("the server wants messages to be posted at another one, and that is not done")
        return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"

    def _ended(self, stream: Relayed, why: str) -> None:
        """What was asked on it is not answered any more; with the next message there is another."""
        if self._stream is not stream:
            return  # given up, and another one may have taken its place
        self._stream = None
        self._problem = why
        self._told.set()
        if self._where and not self._over:  # else nothing was asked on it
            self._pipe.fail_all(why)

    def cancel(self, id_: bytes) -> bool:  # noqa: ARG002  # as the other transport's
        """It has to be said to the server."""
        return False

    def close(self) -> None:
        self._over = True
        if self._stream is not None:
            with suppress(AixtivError):
                self._stream.cut()
