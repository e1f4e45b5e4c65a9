"""A bridge in this process, between a client that a test speaks for and a server that it plays."""

import json
import os
import queue
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, cast

from aixtiv.failures import NoDaemon
from aixtiv.mcp.bridge import Bridge
from aixtiv.mcp.door import Door
from aixtiv.mcp.pipe import Pipe
from aixtiv.mcp.servers import Server

Json = dict[str, Any]

PATIENCE: Final = 10.0  # seconds for what has to come at once
INIT: Final[Json] = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
READY: Final[Json] = {"jsonrpc": "2.0", "method": "notifications/initialized"}
PROGRESS: Final[Json] = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
VERSION: Final = {"protocolVersion": "2025-06-18"}
JSON: Final = ("content-type", "application/json")
SSE: Final = ("content-type", "text/event-stream")


def ask(id_: object, method: str = "ping") -> Json:
    return {"jsonrpc": "2.0", "id": id_, "method": method}


class Answer:
    """As Relayed is, of pieces that are put into it; None is their end."""

    def __init__(self, status: int = 202, body: bytes | None = b"", *headers: tuple[str, str]) -> None:
        self.status = status
        self.headers = headers
        self.pieces: queue.Queue[bytes | None] = queue.Queue()
        self.lost = False
        for piece in () if body is None else (body, None):
            self.pieces.put(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self.pieces.get()) is not None:
            yield piece
        if self.lost:
            raise NoDaemon("cut")

    def beginning(self, most: int) -> bytes:
        return b"".join(self)[:most]

    def say(self, message: Json) -> None:
        self.pieces.put(b"data: " + json.dumps(message).encode() + b"\n\n")

    def close(self) -> None:
        self.pieces.put(None)

    cut = close


def result(message: Json, result: object = (), *headers: tuple[str, str]) -> Answer:
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result or {}}).encode()
    return Answer(200, body, JSON, *headers)


def endless() -> Answer:
    return Answer(200, None, SSE)


class _Standing:
    def wait(self) -> None: ...

    @contextmanager
    def held(self, stream: Answer) -> Iterator[Answer]:
        yield stream


Serve = Callable[[str, dict[str, str], Any], Answer]


class Entrance:
    """As Door is, to a server that a test plays: by method, headers and message."""

    def __init__(self, serve: Serve, server: Server) -> None:
        self.server = server
        self.standing = _Standing()
        self.heard: list[Any] = []  # messages, as they came
        self._serve = serve
        self._answers: list[Answer] = []

    def call(self, method: str, path: str, headers: Any, body: bytes | None = None, **_: object) -> Answer:
        message = json.loads(body) if body else None
        if message:
            self.heard.append(message)
        answer = self._serve(method, dict(headers), message)
        self._answers.append(answer)
        return answer

    @property
    def methods(self) -> list[str]:
        return [message["method"] for message in self.heard]

    def end(self) -> None:
        for answer in self._answers:
            answer.cut()


class Client:
    """Its words come out of a generator, which reads in between what it is told: so all runs in one thread."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._held = b""
        self.words: Iterator[Json | list[Json] | bytes] = iter(())

    def readline(self, _: int) -> bytes:
        word = next(self.words, b"")
        return word if isinstance(word, bytes) else json.dumps(word).encode() + b"\n"

    def hears(self) -> Json:
        while b"\n" not in self._held:
            assert select.select([self._out], [], [], PATIENCE)[0], "nothing was said"
            self._held += os.read(self._out, 1 << 16)
        line, _, self._held = self._held.partition(b"\n")
        return cast(Json, json.loads(line))

    def hears_no_more(self) -> bool:
        return not self._held and not select.select([self._out], [], [], 0)[0]


@contextmanager
def between(serve: Serve, transport: Any = "http") -> Iterator[tuple[Client, Entrance, Callable[[Any], None]]]:
    """A client, a server, and what runs the bridge between them for what the client says."""
    read, write = os.pipe()
    client, entrance = Client(read), Entrance(serve, Server("x", "https://h.example/mcp", transport=transport))
    pipe = Pipe(write)
    bridge = Bridge(cast(Door, entrance), pipe)

    def run(words: Iterator[Any]) -> None:
        client.words = words
        bridge.run(cast(Any, client))

    try:
        yield client, entrance, run
    finally:
        pipe.gone = True  # for threads that still wait for an answer
        entrance.end()
        os.close(read)
        os.close(write)


def sessions(otherwise: Callable[[dict[str, str], Any], Answer]) -> Serve:
    """A server that begins a session with each greeting, and says the rest as `otherwise` does."""
    numbers = iter(range(1, 100))

    def serve(method: str, headers: dict[str, str], message: Any) -> Answer:
        if method != "POST":
            return Answer(405)
        if isinstance(message, dict) and message.get("method") == "initialize":
            return result(message, VERSION, ("mcp-session-id", f"s{next(numbers)}"))
        return otherwise(headers, message)

    return serve


def answered(headers: dict[str, str], message: Json) -> Answer:
    return result(message) if "id" in message else Answer()


class OlderServer:
    def __init__(self, where: bytes = b"/post") -> None:
        self.where = where
        self.streams: list[Answer] = []
        self.heard: list[tuple[int, str]] = []  # on which stream

    def __call__(self, method: str, headers: dict[str, str], message: Any) -> Answer:
        if method == "GET":
            stream = endless()
            stream.pieces.put(b"event: endpoint\ndata: " + self.where + b"\n\n")
            self.streams.append(stream)
            return stream
        self.heard.append((len(self.streams), message["method"]))
        if "id" in message:
            self.streams[-1].say({"jsonrpc": "2.0", "id": message["id"], "result": VERSION})
        return Answer()
