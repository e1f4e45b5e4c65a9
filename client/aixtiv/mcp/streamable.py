"""Streamable HTTP (MCP 2025-03-26 to 2026-07-28): each message a POST, answered by one or by a stream of them."""

import threading
import time
from contextlib import suppress
from typing import Final

from aixtiv import show
from aixtiv.failures import AixtivError, NoDaemon, Unreachable
from aixtiv.mcp import messages
from aixtiv.mcp.door import Door, Headers
from aixtiv.mcp.events import TooLarge, events, whole
from aixtiv.mcp.messages import Message, NoMessage
from aixtiv.mcp.mirrored import Mirrored
from aixtiv.mcp.pipe import Pipe
from aixtiv.mcp.signing import sentence
from aixtiv.relayed import Relayed

RESUMED: Final = 5  # times in a row that a stream is taken up again and brings nothing
RETRY: Final = 1.0  # seconds, where the server does not say
SLOWEST: Final = 30.0  # seconds between looks for the server's own stream
_LATER: Final = (408, 429, 502, 503, 504)  # answers that speak of now, and not of always
FAREWELL: Final = 2.0  # seconds for the end of a session
TAKEN: Final = 30.0  # seconds for a server to say that it has a message which asks nothing
REFUSAL: Final = 64 * 1024  # bytes of a refusal that are read

_BOTH: Final = ("accept", "application/json, text/event-stream")
STREAM: Final = ("accept", "text/event-stream")
JSON: Final = ("content-type", "application/json")
_SESSION: Final = "mcp-session-id"

SAFE: Final = frozenset(
    {
        *("initialize", "ping", "server/discover", "completion/complete"),
        *("tools/list", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read"),
    }
)
"""Requests that change nothing at the server, and may be sent again when no answer came."""


class Older(Exception):
    """The server does not know this transport, and may speak the one before it."""


class NewSession(Exception):
    """The server has forgotten the session: the client's greeting is to be said again."""

    def __init__(self, session: str) -> None:
        super().__init__()
        self.session = session


class Streamable:
    def __init__(self, door: Door, pipe: Pipe) -> None:
        self._door = door
        self._pipe = pipe
        self._session = ""
        self._version = ""
        self._mirrored = Mirrored()
        self._open: dict[bytes, Relayed] = {}  # answers under way, by the request's id
        self._listening: threading.Thread | None = None
        self._over = threading.Event()

    def send(self, message: Message, *, first: bool = False, quiet: bool = False) -> None:
        """Returns when all that it draws has been passed on; `quiet`: and nothing was. Raises AixtivError.

        `first`: of the conversation, when it is not known yet what the server speaks (Older).
        """
        headers = self._headers(message)
        try:
            self._sent(message, headers, first=first, quiet=quiet)
        except NoDaemon:  # in the middle of the answer
            if not _is_safe(message) or not self._pipe.waits(message.asks):
                raise
            self._sent(message, headers, first=first, quiet=quiet)

    def _sent(self, message: Message, headers: Headers, *, first: bool, quiet: bool) -> None:
        path = self._door.server.path
        within = None if message.asks else TAKEN
        again = _is_safe(message)
        with self._door.call("POST", path, headers, message.raw, again=again, first_byte=within) as answer:
            self._remember(message.asks, answer)
            try:
                if not 200 <= answer.status < 300:
                    self._refused(message, answer, dict(headers).get(_SESSION, ""), first=first, quiet=quiet)
                    return
                if message.asks:  # else nothing is to come, and what does may never end
                    self._read(message, answer, quiet=quiet)
            finally:
                self._forget(message.asks)
        if message.method == "notifications/initialized":
            self._listen()

    def _read(self, message: Message, answer: Relayed, *, quiet: bool) -> None:
        kind = kind_of(answer)
        if message.method == "initialize":
            self._session = _header(answer, _SESSION)
        if kind == "text/event-stream":
            self._follow(message, answer, quiet=quiet)
        elif kind == "application/json" and answer.status != 202:
            self._pass_on(message, whole(answer), quiet=quiet)
        if self._pipe.waits(message.asks):
            raise AixtivError(f"the server took the request with {answer.status}, and did not answer it")

    def _refused(self, message: Message, answer: Relayed, session: str, *, first: bool, quiet: bool) -> None:
        if answer.status == 404 and session:
            raise NewSession(session)
        body = answer.beginning(REFUSAL) if message.asks else b""
        error = _error(body)
        if first and message.asks and answer.status in (400, 404, 405) and not error:
            raise Older(said(answer, body))
        if error and not quiet:
            self._pipe.refuse(message.asks, error)
            return
        raise AixtivError(said(answer, body))

    def _follow(self, message: Message, answer: Relayed, *, quiet: bool) -> None:
        """A stream until it has the answer, wherever it breaks off in between."""
        last, wait, barren, idle = "", RETRY, 0, 0
        stream: Relayed | None = answer
        while True:
            try:
                for event in events(stream or ()):
                    last, wait, barren = last if event.id is None else event.id, event.retry or wait, 0
                    idle = 0 if event.data else idle
                    if event.data and event.kind == "message":
                        self._pass_on(message, event.data, quiet=quiet)
                    if message.asks and not self._pipe.waits(message.asks):
                        return
            except (Unreachable, NoDaemon) as failure:
                if not last or not self._pipe.waits(message.asks):
                    raise
                show.note(f"the server's stream broke off, and is taken up again: {failure.sentence}")
            finally:
                if stream:
                    stream.close()
            barren += 1
            if not (last and self._pipe.waits(message.asks)) or barren > RESUMED:
                return
            self._over.wait(_longer(wait, idle))
            idle += 1
            stream = self._resumed(last, message.asks)

    def _resumed(self, last: str, asks: tuple[bytes, ...]) -> Relayed | None:
        headers = (*self._headers(None, STREAM), ("last-event-id", last))
        try:
            answer = self._door.call("GET", self._door.server.path, headers, again=True)
        except (Unreachable, NoDaemon) as failure:
            show.note(f"the server's stream cannot be taken up again yet: {failure.sentence}")
            return None
        if answer.status != 200 or kind_of(answer) != "text/event-stream":
            answer.close()
            return None
        self._remember(asks, answer)
        return answer

    def _pass_on(self, message: Message, raw: bytes, *, quiet: bool) -> None:
        if message.method == "tools/list" and message.version:
            self._mirrored.learn(raw)  # before the client can call one of them
        passed = self._pipe.deliver(raw, but=message.asks if quiet else ())
        if message.method == "initialize" and passed and passed.answers == message.asks:
            self._version = passed.version
        if quiet and passed and passed.error and passed.answers == message.asks:
            raise AixtivError("the server has forgotten the session, and refuses to begin another")

    def _headers(self, message: Message | None, accept: tuple[str, str] = _BOTH) -> Headers:
        found = [accept, *([JSON] if message else [])]
        modern = message.version if message and message.method else ""
        if message and modern:  # each request says by itself what older ones agreed upon (2026-07-28)
            found += [("mcp-protocol-version", modern), ("mcp-method", messages.shown(message.method))]
            found += [("mcp-name", messages.shown(message.subject))] if message.subject else []
            return (*found, *self._mirrored.headers(message))
        if message and message.method == "initialize":
            return tuple(found)
        found += [("mcp-protocol-version", self._version)] if self._version else []
        found += [(_SESSION, self._session)] if self._session else []
        return tuple(found)

    # ---- what the server says without being asked

    def _listen(self) -> None:
        if self._listening is None or not self._listening.is_alive() or self._listening.name != self._session:
            self._listening = threading.Thread(
                target=self._hear, args=(self._session,), name=self._session, daemon=True
            )
            self._listening.start()

    def _hear(self, session: str) -> None:
        """Until the server has no such stream, or the session is another one."""
        last, wait, idle = "", RETRY, 0
        while session == self._session and not self._over.is_set():
            self._door.standing.wait()
            headers = (*self._headers(None, STREAM), *([("last-event-id", last)] if last else []))
            began = time.monotonic()
            try:
                with (
                    self._door.call("GET", self._door.server.path, headers, asks=False, again=True) as answer,
                    self._door.standing.held(answer),
                ):
                    if answer.status != 200 or kind_of(answer) != "text/event-stream":
                        if not last and answer.status < 500 and answer.status not in _LATER:
                            return
                        last = last if answer.status in _LATER else ""  # which may be all that it cannot take
                        raise Unreachable(said(answer, b""))  # as if it had not been reached
                    for event in events(answer):
                        last, wait = last if event.id is None else event.id, event.retry or wait
                        idle = 0 if event.data else idle
                        if event.data and event.kind == "message":
                            self._pipe.deliver(event.data)
            except AixtivError as failure:
                if isinstance(failure, TooLarge):
                    show.note(sentence(failure))
                last = "" if failure.code == "bad_request" else last
            if time.monotonic() - began > SLOWEST:  # something between us ends what is silent
                idle = 0
            self._over.wait(_longer(wait, idle))
            idle += 1

    # ---- ends

    def cancel(self, id_: bytes) -> bool:
        """Ends a request as this version's way is: by hanging up. False: it has to be said to the server."""
        answer = self._open.get(id_)
        if answer is None or self._version:
            return False
        self._pipe.give_up((id_,))
        answer.cut()
        return True

    @property
    def session(self) -> str:
        return self._session

    def close(self) -> None:
        """Tells the server that the session is over, if it is still there to hear it."""
        self._over.set()
        if not self._session:
            return
        with suppress(AixtivError):
            path, headers = self._door.server.path, self._headers(None)
            self._door.call("DELETE", path, headers, asks=False, first_byte=FAREWELL).close()

    def _remember(self, asks: tuple[bytes, ...], answer: Relayed) -> None:
        self._open.update(dict.fromkeys(asks, answer))

    def _forget(self, asks: tuple[bytes, ...]) -> None:
        for id_ in asks:
            self._open.pop(id_, None)


def _is_safe(message: Message) -> bool:
    return bool(message.methods) and SAFE.issuperset(message.methods)


def _longer(wait: float, idle: int) -> float:
    """What the server asks for, and more with each stream that brought nothing: it cannot have us call without end."""
    return min(SLOWEST, wait * (1 << min(idle, 9)))


def _header(answer: Relayed, name: str) -> str:
    return next((value for named, value in answer.headers if named.lower() == name), "")


def kind_of(answer: Relayed) -> str:
    return _header(answer, "content-type").partition(";")[0].strip().lower()


def _error(body: bytes) -> bytes:
    """The error object of a refusal that is a JSON-RPC message."""
    try:
        return messages.read(body).error
    except NoMessage:
        return b""


def said(answer: Relayed, body: bytes) -> str:
    text = " ".join(body[:200].decode(errors="replace").split())
    plain = "" if text.startswith("<") else "".join(letter for letter in text if letter.isprintable())
    return f"the server answered {answer.status}{f': {plain}' if plain else ''}"
