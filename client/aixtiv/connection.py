"""One conversation with the daemon on a blocking socket: whole messages out, whole messages in."""

import contextlib
import os
import select
import socket
import sys
import time
from typing import Final, Self

from aixtiv import place
from aixtiv.failures import HungUp, NoAnswer, NoDaemon, NotHeard, NotRunning, NotUnderstood, Untrusted
from aixtiv_protocol import codec
from aixtiv_protocol.replies import Reply
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret
from aixtiv_protocol.where import elsewhere

CONNECT: Final = 5.0  # seconds, while the daemon has more callers than it can take at once

_CUT: Final = "the daemon ended the conversation before it answered"

_RESET_IS_UNREAD: Final = sys.platform == "linux"
"""Linux resets a Unix connection if, and only if, the other side closed it without having read all that was sent
(unix_release_sock in net/unix/af_unix.c). A message that was not read to its end was not begun with."""


class Connection:
    """Raises NoDaemon where nobody listens, Untrusted where the socket's place is not ours alone."""

    def __init__(self, path: str) -> None:
        self._check(path)
        self.greeted = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CONNECT)
        try:
            self._connect(path)
            stranger = place.stranger(self._socket.getsockopt)
        except TimeoutError:
            self._socket.close()
            raise NoAnswer from None
        except OSError as error:
            self._socket.close()
            raise _no_daemon(error, path) from None
        if stranger:
            self._socket.close()
            raise Untrusted(f"another user answers at {path}", hint=elsewhere(path, os.environ))

    def _connect(self, path: str) -> None:
        """Linux answers EAGAIN at once where the daemon's backlog is full (unix(7)), whatever the time limit."""
        until = time.monotonic() + CONNECT
        while True:
            try:
                return self._socket.connect(path)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TimeoutError from None
                time.sleep(0.01)

    @staticmethod
    def _check(path: str) -> None:
        try:
            distrusted = place.distrust(path)
        except OSError as error:
            raise _no_daemon(error, path) from None
        if distrusted:
            raise Untrusted(distrusted[0], hint=distrusted[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """Ends it for a thread that waits at it, which closing it would not."""
        with contextlib.suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """For `select`: nothing is ever read ahead, so a readable socket is all there is to know."""
        return self._socket.fileno()

    def stale(self, within: float = 0) -> bool:
        """Whether the daemon has hung up (or said what nobody asked) since the last answer, or does in that time."""
        return bool(select.select([self._socket], [], [], within)[0])

    def send(self, *messages: Request, seconds: float | None = CONNECT) -> None:
        """Raises NoAnswer where the daemon does not take it within `seconds` (None: however long that takes), NotHeard
        where it has hung up.
        """
        message = b"".join(encoded(request) for request in messages)
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(message)
        except TimeoutError:
            raise NoAnswer from None
        except OSError:  # no reader: the kernel delivered nothing of a message that it refuses
            raise NotHeard from None

    def ready(self, seconds: float | None) -> tuple[bool, bool]:
        """Waits until the daemon says something (first) or takes something (second). Raises NoAnswer."""
        poll = select.poll()  # not `select`, which knows no descriptor above 1023
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        found = poll.poll(None if seconds is None else seconds * 1000)
        if not found:
            raise NoAnswer
        events = found[0][1]
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)

    def send_some(self, data: memoryview) -> int:
        """Sends what is taken at once: how many bytes. Raises NoDaemon."""
        self._socket.settimeout(0)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            raise NoDaemon("the daemon ended the conversation") from None

    def receive(self, seconds: float | None, *, skip_news: bool = False) -> Reply | Secret | None:
        """The next message, waited for at most `seconds` (None: for ever). `skip_news`: None for an unknown kind."""
        until = None if seconds is None else time.monotonic() + seconds
        size = int.from_bytes(self._exactly(codec.HEAD, until, first=True), "big")
        if size > codec.FRAME_CAP:
            raise NotUnderstood("the daemon's answer is above the cap of a message")
        try:
            return codec.decode_reply(self._exactly(size, until))
        except codec.ProtocolError as error:
            if skip_news and not error.fatal:
                return None
            raise NotUnderstood(str(error)) from None

    def _exactly(self, size: int, until: float | None, *, first: bool = False) -> bytes:
        """`first`: of an answer. Where there is nothing of it, Raises HungUp, and NotHeard if that is certain."""
        data = bytearray()
        while len(data) < size:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise NoAnswer
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(size - len(data))
            except TimeoutError:
                raise NoAnswer from None
            except ConnectionResetError:
                if first and not data and _RESET_IS_UNREAD:
                    raise NotHeard from None
                piece = b""
            except OSError:
                piece = b""
            if not piece:
                raise HungUp if first and not data else NoDaemon(_CUT, hint=HungUp.hint)
            data += piece
        return bytes(data)


def encoded(request: Request) -> bytes:
    """Raises NotUnderstood for what no message can carry."""
    try:
        return codec.encode_request(request)
    except codec.ProtocolError as error:
        raise NotUnderstood(str(error), hint="") from None


def _no_daemon(error: OSError, path: str) -> NoDaemon:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return NotRunning()
    return NoDaemon(f"{path} cannot be reached: {error.strerror or error}", hint=elsewhere(path, os.environ))
