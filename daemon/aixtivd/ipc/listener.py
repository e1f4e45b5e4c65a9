"""Who is let in: accepts connections, asks the kernel who it is, and keeps the open conversations within bounds."""

import asyncio
import errno
import socket

import anyio
from anyio.abc import TaskGroup

from aixtiv_protocol.replies import Failure
from aixtivd import log
from aixtivd.access.peer import allowed, peer_of
from aixtivd.ipc.dispatch import Dispatch
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.session import Session

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_AT_ONE_GO = 64  # connections accepted before others get their turn

TOO_MANY = Failure(code="busy", message="the daemon has as many callers as it takes", retry=True, retry_after=1.0)


class Listener:
    """Accepts by itself instead of through `create_unix_server`: without file descriptors left, asyncio's server logs a
    line for each place in the backlog, and uvloop's accepts callers only to drop them (both seen); and the peer is to
    be asked for before a transport reads. It costs 18 µs a connection.
    """

    def __init__(self, listening: socket.socket, dispatch: Dispatch, tasks: TaskGroup, limits: Limits) -> None:
        self._socket = listening
        self._dispatch = dispatch
        self._tasks = tasks
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._sessions: set[Session] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._empty = anyio.Event()
        self._open = False

    def start(self) -> None:
        self._open = True
        self._socket.settimeout(0)
        self._accept_when_ready()

    def close(self) -> None:
        """Accepts nobody more. The conversations go on, and the socket stays its owner's."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket.fileno())
        if self._retry is not None:
            self._retry.cancel()

    def finish(self) -> None:
        """Ends every conversation, each as soon as what is outstanding in it is answered."""
        for session in tuple(self._sessions):
            session.finish()

    async def empty(self) -> None:
        """Returns when nobody is left."""
        while self._sessions:
            self._empty = anyio.Event()
            await self._empty.wait()

    def _accept_when_ready(self) -> None:
        self._retry = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONE_GO):
            try:
                connection, _path = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._admit(connection)

    def _pause(self, error: OSError) -> None:
        """Callers wait in the kernel's queue meanwhile; whatever ends gives back what is missing."""
        sentence = "out of file descriptors or memory" if error.errno in _EXHAUSTED else "cannot accept"
        log.error("accepting pauses", reason=sentence, errno=error.errno or 0, callers=len(self._sessions))
        self._loop.remove_reader(self._socket.fileno())
        self._retry = self._loop.call_later(self._limits.starved, self._accept_when_ready)

    def _admit(self, connection: socket.socket) -> None:
        try:
            peer = peer_of(connection)
        except OSError:
            connection.close()
            return
        if not allowed(peer):
            log.warning("another user was refused", uid=peer.uid, pid=peer.pid)
            connection.close()
            return
        callers = len(self._sessions)
        if callers >= self._limits.connections + self._limits.turned_away:
            connection.close()
            return
        refusal = TOO_MANY if callers >= self._limits.connections else None
        session = Session(self._dispatch, self._tasks, self._limits, self._gone, refusal)
        self._sessions.add(session)
        self._tasks.start_soon(self._converse, connection, session, name="connection")

    async def _converse(self, connection: socket.socket, session: Session) -> None:
        connection.settimeout(0)
        try:
            await self._loop.connect_accepted_socket(lambda: session, connection)
        except OSError as error:
            log.warning("a connection was lost", errno=error.errno or 0)
            connection.close()
            self._gone(session)

    def _gone(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._empty.set()
