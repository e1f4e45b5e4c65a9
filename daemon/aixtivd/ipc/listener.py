"""Who is let in: accepts connections, asks the kernel who it is, and keeps the open conversations within bounds."""

import asyncio
import errno
import socket
import time
from typing import Final

import anyio
from anyio.abc import TaskGroup

from aixtiv_protocol.replies import Failure
from aixtivd import log
from aixtivd.access.caller import Caller, caller_of
from aixtivd.access.peer import allowed, peer_of
from aixtivd.ipc.dispatch import Dispatch
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.session import Session

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_QUIET: Final = 60.0  # seconds between two log lines about other users: they could fill the disk with them

TOO_MANY = Failure(code="busy", message="the daemon has as many callers as it takes", retry=True, retry_after=1.0)


class Listener:
    """Accepts by itself instead of through `create_unix_server`: without file descriptors left, asyncio's server logs a
    line for each place in the backlog, and uvloop's accepts callers only to drop them (both seen); and the kernel is to
    be asked who it is before a transport reads. It costs some 20 µs a connection.
    """

    def __init__(self, listening: socket.socket, dispatch: Dispatch, tasks: TaskGroup, limits: Limits) -> None:
        self._socket = listening
        self._dispatch = dispatch
        self._tasks = tasks
        self._limits = limits
        self._sessions: set[Session] = set()
        self._empty = anyio.Event()
        self._accepting = anyio.CancelScope()
        self._refused_at = -_QUIET  # when another user was last logged

    async def run(self) -> None:
        """Accepts callers until it is closed."""
        loop = asyncio.get_running_loop()
        self._socket.settimeout(0)
        with self._accepting:
            while True:
                try:
                    connection, _path = await loop.sock_accept(self._socket)
                except ConnectionAbortedError:
                    continue
                except OSError as error:
                    await self._pause(error)
                    continue
                if (session := self._admitted(connection)) is not None:
                    await self._converse(loop, connection, session)

    def close(self) -> None:
        """Accepts nobody more. The conversations go on, and the socket stays its owner's."""
        self._accepting.cancel()

    def finish(self) -> None:
        """Ends every conversation, each as soon as what is outstanding in it is answered."""
        for session in tuple(self._sessions):
            session.finish()

    async def empty(self) -> None:
        """Returns when nobody is left."""
        while self._sessions:
            self._empty = anyio.Event()
            await self._empty.wait()

    async def _pause(self, error: OSError) -> None:
        """Callers wait in the kernel's queue meanwhile; whatever ends gives back what is missing."""
        sentence = "out of file descriptors or memory" if error.errno in _EXHAUSTED else "cannot accept"
        log.error("accepting-pauses", reason=sentence, errno=error.errno or 0, callers=len(self._sessions))
        await anyio.sleep(self._limits.starved)

    def _admitted(self, connection: socket.socket) -> Session | None:
        """The session that will talk to this caller; None where nobody will: then the connection is closed."""
        callers = len(self._sessions)
        caller = self._caller(connection)
        if caller is None or callers >= self._limits.connections + self._limits.turned_away:
            connection.close()
            return None
        refusal = TOO_MANY if callers >= self._limits.connections else None
        session = Session(self._dispatch, self._tasks, self._limits, self._gone, caller, refusal)
        self._sessions.add(session)
        return session

    def _caller(self, connection: socket.socket) -> Caller | None:
        """None for whom nothing is done: another user, or one of whom the kernel will not say who it is."""
        try:
            peer = peer_of(connection)
        except OSError:
            return None
        if allowed(peer):
            return caller_of(peer)
        if time.monotonic() - self._refused_at > _QUIET:
            self._refused_at = time.monotonic()
            log.warning("other-user-refused", uid=peer.uid, pid=peer.pid)
        return None

    async def _converse(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, session: Session) -> None:
        """Hands the connection to the session. It is over in one or two turns of the loop."""
        try:
            await loop.connect_accepted_socket(lambda: session, connection)
        except BaseException as error:  # also where this task is cancelled: nobody would miss the session otherwise
            connection.close()
            self._gone(session)
            if not isinstance(error, OSError):
                raise
            log.warning("connection-lost", errno=error.errno or 0)

    def _gone(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._empty.set()
