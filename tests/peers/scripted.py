"""A daemon that says what a test tells it to: the real codec on a real Unix socket, and nothing behind it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from aixtiv_protocol import VERSION, codec
from aixtiv_protocol.replies import AccessToken, Reply, Welcome
from aixtiv_protocol.requests import Hello, Request, Token
from aixtiv_protocol.secret import Secret

Said = Reply | Secret | bytes
Script = Callable[[Request], Iterable[Said]]


class ScriptedDaemon:
    """Listens at `folder`/aixtiv/aixtiv.sock. `script` gives the replies to a request; bytes are sent as they are.

    A script that is at its end for a request leaves the caller waiting; one that raises EOFError hangs up. A command's
    greeting, which comes with its first request, is answered with `version` and not told to the script.
    """

    def __init__(self, folder: Path, script: Script, version: str = VERSION, ops: tuple[str, ...] = ()) -> None:
        self.path: Final = folder / "aixtiv" / "aixtiv.sock"
        self.asked: Final[list[Request]] = []
        self.callers = 0
        self._script = script
        self._welcome = Welcome(version=version, protocol=1, ops=ops)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self._listener.bind(str(self.path))
        self.path.chmod(0o600)
        self._listener.listen()
        self._thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):  # the other side was faster
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._open):
            end.close()
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Ends every conversation, as a daemon that restarts does."""
        for end in self._open:
            end.shutdown(socket.SHUT_RDWR)

    def _thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.callers += 1
            self._open.append(caller)
            self._thread(self._serve, caller)

    def _serve(self, caller: socket.socket) -> None:
        inbox = codec.Inbox()
        try:
            while data := caller.recv(65536):
                inbox.feed(data)
                requests = [codec.decode_request(body, "frames") for body in inbox.bodies()]
                if len(requests) > 1 and isinstance(requests[0], Hello):
                    caller.sendall(_encoded(requests.pop(0), self._welcome))
                for request in requests:
                    self._answer(caller, request)
        except (OSError, EOFError):
            with contextlib.suppress(OSError):  # it has gone already
                caller.shutdown(socket.SHUT_RDWR)

    def _answer(self, caller: socket.socket, request: Request) -> None:
        self.asked.append(request)
        for said in self._script(request):
            caller.sendall(said if isinstance(said, bytes) else _encoded(request, said))


def _encoded(request: Request, said: Reply | Secret) -> bytes:
    if isinstance(said, AccessToken) and isinstance(request, Token) and request.form == "bare":
        said = said.access_token
    return codec.encode_bare(said, "frames") if isinstance(said, Secret) else codec.encode_reply(said, "frames")
