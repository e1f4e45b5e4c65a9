"""Between a client's pipe and a server: every message goes on as it came, and each request gets an answer."""

import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
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
IN_LINE: Final = 1024  # notifications and answers that a server has not taken yet
LAST: Final = 10.0  # seconds for what is still under way when the client says no more

_GREETS: Final = ("initialize", "notifications/initialized")


class Transport(Protocol):
    @property
    def session(self) -> str: ...

    def send(self, message: Message, *, first: bool = False, quiet: bool = False) -> None: ...

    def cancel(self, id_: bytes) -> bool: ...

    def close(self) -> None: ...


class _Ended(Exception):
    """Somebody asked the process to end."""


class _Turn:
    """A message, and whether what has to be over before it is: a greeting, and each first word to a server."""

    def __init__(self, message: Message, ahead: threading.Event) -> None:
        self.message = message
        self.ahead = ahead
        self.over = threading.Event()


class Bridge:
    """The client is read by a thread that waits for nothing else: a server cannot keep it from hearing its end.

    Requests have a thread each; what draws no answer goes in the order in which it came, by one.
    """

    def __init__(self, door: Door, pipe: Pipe) -> None:
        self._door = door
        self._pipe = pipe
        sse = door.server.transport == "sse"
        self._transport: Transport = OlderTransport(door, pipe) if sse else Streamable(door, pipe)
        self._open = threading.BoundedSemaphore(AT_ONCE)
        self._line: queue.Queue[_Turn | None] = queue.Queue(IN_LINE)
        self._ahead = threading.Event()  # set as soon as nobody is being greeted
        self._ahead.set()
        self._known = False  # what the server speaks
        self._greeting: tuple[Message, ...] = ()  # the client's: `initialize`, and that it is done
        self._renewing = threading.Lock()

    def run(self, client: BinaryIO) -> None:
        """Until the client says no more, or reads no more, or the process is to end."""
        before = signal.signal(signal.SIGTERM, _end)
        teller = threading.Thread(target=self._tell, daemon=True)
        teller.start()
        try:
            for line in _lines(client):
                self._take(line)
                if self._pipe.gone:
                    return
            self._finish(teller)
        except _Ended:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            self._transport.close()

    def _finish(self, teller: threading.Thread) -> None:
        until = time.monotonic() + LAST
        with suppress(queue.Full):  # then it does not get through with it in time
            self._line.put_nowait(None)
            teller.join(LAST)
        self._pipe.all_answered(max(0.0, until - time.monotonic()))

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
        if message.asks:
            self._pipe.expect(message.asks)
            if not self._open.acquire(blocking=False):
                self._pipe.fail(message.asks, f"more than {AT_ONCE} requests at once")
                return
        turn = self._turn(message)
        if message.asks:
            threading.Thread(target=self._ask, args=(turn,), daemon=True).start()
            return
        try:
            self._line.put_nowait(turn)
        except queue.Full:
            turn.over.set()
            show.note(f"{_what(message)} did not reach the server, which has {IN_LINE} to take")

    def _turn(self, message: Message) -> _Turn:
        turn = _Turn(message, self._ahead)
        if not self._known or message.method in _GREETS:
            self._ahead = turn.over
        return turn

    def _cancelled(self, id_: bytes) -> bool:
        done = self._transport.cancel(id_)
        self._pipe.give_up((id_,))  # the client waits for it no more
        return done

    def _ask(self, turn: _Turn) -> None:
        try:
            self._wait(turn)
            if self._pipe.waits(turn.message.asks):  # else it was cancelled meanwhile
                self._carry(turn.message)
        finally:
            turn.over.set()
            self._open.release()

    def _tell(self) -> None:
        while turn := self._line.get():
            self._wait(turn)
            self._carry(turn.message)
            turn.over.set()

    def _wait(self, turn: _Turn) -> None:
        """Only then is it certain what the server speaks: its answer is told before we have noted it."""
        turn.ahead.wait()
        if self._known and turn.message.method not in _GREETS:
            turn.over.set()  # it holds up nobody

    def _carry(self, message: Message) -> None:
        try:
            self._sent(message)
        except AixtivError as failure:
            self._failed(message, sentence(failure))
        except Exception as error:  # noqa: BLE001  # a defect of ours, which ends nothing but this
            self._failed(message, f"a defect in aixtiv ({defect(error)})")

    def _failed(self, message: Message, why: str) -> None:
        self._pipe.fail(message.asks, why)
        if not message.asks:
            show.note(f"{_what(message)} did not reach the server: {why}")

    def _sent(self, message: Message) -> None:
        if message.method == "initialize":
            self._greeting = (message,)
        elif message.method == "notifications/initialized":
            self._greeting = (*self._greeting[:1], message)
        with self._renewing:  # a server that is being greeted again hears nothing else meanwhile
            pass
        try:
            self._transport.send(message, first=not self._known)
        except Older as failure:
            self._fall_back(message, str(failure))
        except NewSession as over:
            self._renew(over.session)
            self._send_again(message)
        self._known = True

    def _send_again(self, message: Message, *, quiet: bool = False) -> None:
        """To a server that has been greeted again, or is being. Raises AixtivError."""
        try:
            self._transport.send(message, quiet=quiet)
        except (NewSession, Older):
            raise AixtivError("the server forgets each session as soon as it has begun") from None

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
                try:
                    self._send_again(message, quiet=True)
                finally:
                    self._pipe.give_up(message.asks)


def _what(message: Message) -> str:
    return message.method or ("an answer" if message.answers else "a batch")


def defect(error: BaseException) -> str:
    """Its kind and place, and not its words, which may quote what a server said."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{type(error).__name__}{f', {Path(where[0].filename).name}:{where[0].lineno}' if where else ''}"


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


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        show.note(f"a defect in aixtiv ({defect(args.exc_value)})")


def run(door: Door) -> None:
    """On this process's own streams."""
    threading.excepthook = _thread_failed
    Bridge(door, Pipe()).run(sys.stdin.buffer)
