"""The client's end: whole messages out on stdout, one at a time, and which requests still wait for an answer."""

import os
import signal
import threading
from collections.abc import Container

from aixtiv import show
from aixtiv.mcp import messages
from aixtiv.mcp.messages import Message, NoMessage


class Pipe:
    """Safe for many threads. A client that reads slowly holds up whoever writes, and so the server."""

    def __init__(self, out: int = 1) -> None:
        """`out`: the descriptor. No buffer of Python's, which whoever ends the process would wait for."""
        self._out = out
        self._writing = threading.Lock()
        self._change = threading.Condition()
        self._waiting: set[bytes] = set()
        self.gone = False  # the client

    def expect(self, ids: tuple[bytes, ...]) -> None:
        """Requests of the client that an answer is owed to."""
        with self._change:
            self._waiting.update(ids)

    def waits(self, ids: tuple[bytes, ...]) -> bool:
        """Whether one of them still does."""
        with self._change:
            return any(id_ in self._waiting for id_ in ids)

    def give_up(self, ids: tuple[bytes, ...]) -> None:
        """No answer is owed any more: the client has cancelled."""
        with self._change:
            self._waiting.difference_update(ids)
            self._change.notify_all()

    def all_answered(self, seconds: float) -> bool:
        with self._change:
            return self._change.wait_for(lambda: not self._waiting, seconds)

    def deliver(self, raw: bytes, *, but: Container[bytes] = ()) -> Message | None:
        """A server's message, to the client; None: it is none, and stays here. `but`: nor do answers to these."""
        try:
            message = messages.read(raw)
        except NoMessage as error:
            show.note(f"what the server sent is no message, and is not passed on: {error}")
            return None
        if message.answers and message.answers[0] in but:
            self.give_up(message.answers)
        else:
            self._write(messages.line(message), message.answers)
        return message

    def fail(self, ids: tuple[bytes, ...], sentence: str, code: int = messages.OFFLINE) -> None:
        """The answer of our own to those of them that have none yet."""
        for id_ in ids:
            if self.waits((id_,)):
                self._write(messages.failure(id_, sentence, code), (id_,))

    def fail_all(self, sentence: str) -> None:
        with self._change:
            waiting = tuple(self._waiting)
        self.fail(waiting, sentence)

    def refuse(self, ids: tuple[bytes, ...], error: bytes) -> None:
        """The server's own error, which does not say to what."""
        for id_ in ids:
            if self.waits((id_,)):
                self._write(messages.with_error(id_, error), (id_,))

    def protest(self, sentence: str, code: int = messages.PARSE) -> None:
        """To what was no message, or one whose id nobody has read."""
        self._write(messages.failure(b"", sentence, code), ())

    def _write(self, line: bytes, answered: tuple[bytes, ...]) -> None:
        with self._writing:
            if self.gone:
                return
            try:
                left = memoryview(line)
                while left:
                    left = left[os.write(self._out, left) :]
            except OSError:  # nobody reads any more, and the main thread may wait for what nobody says
                self.gone = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        self.give_up(answered)
