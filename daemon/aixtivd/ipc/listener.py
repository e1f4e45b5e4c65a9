"""Who is let in: accepts connections, asks the kernel who it is, and keeps the open conversations within bounds."""

import socket
from contextlib import aclosing
from functools import partial

import anyio
from anyio.abc import TaskGroup

from aixtiv_protocol.replies import Failure
from aixtivd.access.caller import caller_of
from aixtivd.access.doorkeeper import Doorkeeper
from aixtivd.host.accepting import Arrivals, hand_over
from aixtivd.ipc.dispatch import Dispatch
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.session import Session

TOO_MANY = Failure(code="busy", message="the daemon has as many callers as it takes", retry=True, retry_after=1.0)


class Listener:
    def __init__(self, listening: socket.socket, dispatch: Dispatch, tasks: TaskGroup, limits: Limits) -> None:
        self._dispatch = dispatch
        self._tasks = tasks
        self._limits = limits
        self._sessions: set[Session] = set()
        self._empty = anyio.Event()
        self._arrivals = Arrivals(listening, limits.starved)
        self.begun = 0  # conversations, since the start
        self._keeper = Doorkeeper()
        dispatch.opening.locked.append(self._locked)

    async def run(self) -> None:
        """Accepts callers until it is closed."""
        async with aclosing(self._arrivals.connections()) as arriving:
            async for connection in arriving:
                if (session := self._admitted(connection)) is not None:
                    await hand_over(connection, session, partial(self._gone, session))

    def close(self) -> None:
        """Accepts nobody more. The conversations go on, and the socket stays its owner's."""
        self._arrivals.close()

    @property
    def open(self) -> bool:
        """Whether there is any conversation."""
        return bool(self._sessions)

    def finish(self) -> None:
        """Ends every conversation, each as soon as what is outstanding in it is answered."""
        for session in tuple(self._sessions):
            session.finish()

    async def empty(self) -> None:
        """Returns when nobody is left."""
        while self._sessions:
            self._empty = anyio.Event()
            await self._empty.wait()

    def _admitted(self, connection: socket.socket) -> Session | None:
        """The session that will talk to this caller; None where nobody will: then the connection is closed."""
        callers = len(self._sessions)
        peer = self._keeper.admits(connection)
        if peer is None or callers >= self._limits.connections + self._limits.turned_away:
            connection.close()
            return None
        refusal = TOO_MANY if callers >= self._limits.connections else None
        session = Session(self._dispatch, self._tasks, self._limits, self._gone, caller_of(peer, connection), refusal)
        self._sessions.add(session)
        self._dispatch.metrics.conversations += 1
        self._dispatch.metrics.open += 1
        self.begun += 1
        return session

    def _locked(self) -> None:
        for session in tuple(self._sessions):
            session.locked()

    def _gone(self, session: Session) -> None:
        self._sessions.discard(session)
        self._dispatch.metrics.open -= 1
        if not self._sessions:
            self._empty.set()
