"""Between a client's pipe and a server: every message goes on as it came, and each request gets an answer."""

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import BinaryIO, Final, Protocol

from aixtiv import show
from aixtiv.failures import AixtivError
from aixtiv.mcp import messages
from aixtiv.mcp.door import Door
from aixtiv.mcp.messages import LIMIT, Message, NoMessage
from aixtiv.mcp.older import OlderTransport
from aixtiv.mcp.pipe import Pipe
from aixtiv.mcp.signing import sentence
from aixtiv.mcp.streamable import NewSession, Older, Streamable

AT_ONCE: Final = 256  # requests under way
LAST: Final = 10.0  # seconds for answers that are still to come when the client says no more


class Transport(Protocol):
    @property
    def session(self) -> str: ...

    def send(self, message: Message, *, first: bool = False, quiet: bool = False) -> None: ...

    def cancel(self, id_: bytes) -> bool: ...

    def close(self) -> None: ...


class _Ended(Exception):
    """Somebody asked the process to end."""


class Bridge:
    def __init__(self, door: Door, pipe: Pipe) -> None:
        self._door = door
        self._pipe = pipe
        sse = door.server.transport == "sse"
        self._transport: Transport = OlderTransport(door, pipe) if sse else Streamable(door, pipe)
        self._open = threading.BoundedSemaphore(AT_ONCE)
        self._greeted = threading.Event()  # nobody is being greeted
        self._greeted.set()
        self._known = False  # what the server speaks
        self._greeting: tuple[Message, ...] = ()  # the client's: `initialize`, and that it is done
        self._renewing = threading.Lock()

    def run(self, client: BinaryIO) -> None:
        """Until the client says no more, or reads no more, or the process is to end."""
        before = signal.signal(signal.SIGTERM, _end)
        try:
            for line in _lines(client):
                self._take(line)
                if self._pipe.gone:
                    return
            self._pipe.all_answered(LAST)
        except _Ended:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            self._transport.close()

    def _take(self, line: bytes | None) -> None:
        if line is None:
            self._pipe.protest(f"a message may have {LIMIT >> 20} MiB at most", messages.INVALID)
            return
        try:
            message = messages.read(line)
        except NoMessage as error:
            self._pipe.protest(f"that is no JSON-RPC message: {error}")
            return
        if message.cancels and self._cancelled(message.cancels):
            return
        if not message.asks:
            self._carry(message)  # here, so that it is not overtaken by what comes behind it
            return
        self._pipe.expect(message.asks)
        if not self._open.acquire(blocking=False):
            self._pipe.fail(message.asks, f"more than {AT_ONCE} requests at once")
            return
        self._greeted.wait()
        if not self._known or message.method == "initialize":
            self._greeted.clear()
        threading.Thread(target=self._carry_one, args=(message,), daemon=True).start()

    def _cancelled(self, id_: bytes) -> bool:
        done = self._transport.cancel(id_)
        self._pipe.give_up((id_,))  # the client waits for it no more
        return done

    def _carry_one(self, message: Message) -> None:
        try:
            self._carry(message)
        finally:
            self._greeted.set()
            self._open.release()

    def _carry(self, message: Message) -> None:
        try:
            self._sent(message)
        except AixtivError as failure:
            self._pipe.fail(message.asks, sentence(failure))
            if not message.asks:
                show.note(f"{message.method or 'an answer'} did not reach the server: {sentence(failure)}")
        except Exception as defect:
            self._pipe.fail(message.asks, f"a defect in aixtiv ({type(defect).__name__})")
            raise

    def _sent(self, message: Message) -> None:
        if message.method == "initialize":
            self._greeting = (message,)
        elif not message.asks:
            self._greeted.wait()
            if message.method == "notifications/initialized":
                self._greeting = (*self._greeting[:1], message)
        try:
            self._transport.send(message, first=not self._known)
        except Older as failure:
            self._fall_back(message, str(failure))
        except NewSession as over:
            self._renew(over.session)
            self._transport.send(message, first=True)
        self._known = True

    def _fall_back(self, message: Message, why: str) -> None:
        """Raises AixtivError with what was answered first, where the older transport is not spoken either."""
        if self._door.server.transport != "auto":
            raise AixtivError(why)
        older = OlderTransport(self._door, self._pipe)
        try:
            older.send(message, first=True)
        except AixtivError:
            older.close()
            raise AixtivError(why) from None
        self._transport = older

    def _renew(self, forgotten: str) -> None:
        """Greets the server again as the client did, which need not know. Raises AixtivError."""
        with self._renewing:
            if self._transport.session != forgotten:
                return  # another request has done it
            if not self._greeting:
                raise AixtivError("the server wants a session that nobody began")
            show.note("the server has forgotten the session, and is greeted again")
            for message in self._greeting:
                self._pipe.expect(message.asks)
                self._transport.send(message, first=True, quiet=True)


def _lines(client: BinaryIO) -> Iterator[bytes | None]:
    """Those that say something; None for one that is too long, which is read to its end and forgotten."""
    while line := client.readline(LIMIT + 1):
        if len(line) > LIMIT:
            while line and not line.endswith(b"\n"):
                line = client.readline(LIMIT)
            yield None
        elif line.strip():
            yield line


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # as signals are told
    raise _Ended


def run(door: Door) -> None:
    """On this process's own streams."""
    Bridge(door, Pipe()).run(sys.stdin.buffer)
