"""Accepting connections and handing them over, so that running out of descriptors is a pause and nothing worse."""

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final

import anyio

from aixtivd import log

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Arrivals:
    """The connections that come to a listening socket.

    Not through `create_server`: without file descriptors left, asyncio's server logs a line for each place in the
    backlog, and uvloop's accepts callers only to drop them (both seen); and the kernel is to be asked who it is before
    a transport reads. Nor by `loop.sock_accept`: whoever it has accepted when it is cancelled is lost, and a daemon
    that gives its sockets to the next one loses nobody.
    """

    def __init__(self, listening: socket.socket, pause: float) -> None:
        """`pause`: seconds where the machine has no descriptors left to give."""
        self._socket = listening
        self._pause = pause
        self._closed = False
        self._reported = asyncio.Event()  # somebody is there, or it was closed
        self._stop_looking: Callable[[], object] | None = None

    def close(self) -> None:
        """Takes nobody more: who comes waits in the kernel's queue, for whoever listens next."""
        self._closed = True
        self._look_away()
        self._reported.set()

    async def connections(self) -> AsyncGenerator[socket.socket, None]:
        """Each one, until it is closed.

        The loop watches the socket all the time, and reports it in each turn in which somebody is there: to begin and
        end watching for each caller would cost more than accepting one, and so would asking whether there is another.
        """
        self._socket.settimeout(0)
        try:
            while await self._knocked():
                if (connection := await self._accepted()) is not None:
                    yield connection
        finally:
            self._look_away()

    async def _knocked(self) -> bool:
        """False: it was closed."""
        if not self._closed:
            self._look()
            await self._reported.wait()
            self._reported.clear()
        return not self._closed

    async def _accepted(self) -> socket.socket | None:
        """None: there was nobody after all."""
        try:
            connection, _address = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            # Callers wait in the kernel's queue meanwhile; whatever ends gives back what is missing.
            sentence = "out of file descriptors or memory" if error.errno in _EXHAUSTED else "cannot accept"
            log.error("accepting-pauses", reason=sentence, errno=error.errno or 0)
            self._look_away()
            await anyio.sleep(self._pause)
            return None
        connection.settimeout(0)
        return connection

    def _look(self) -> None:
        if self._stop_looking is None:
            loop, fd = asyncio.get_running_loop(), self._socket.fileno()
            loop.add_reader(fd, self._reported.set)
            self._stop_looking = partial(loop.remove_reader, fd)

    def _look_away(self) -> None:
        """Before whose socket it is can close it: the number may be another's then."""
        if self._stop_looking is not None:
            self._stop_looking()
            self._stop_looking = None


async def hand_over(connection: socket.socket, protocol: asyncio.BaseProtocol, lost: Callable[[], None]) -> None:
    """To whoever talks on it from now on, in one or two turns of the loop. `lost`: called where they never will."""
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)
    except BaseException as error:  # also where this task is cancelled: nobody would miss the protocol otherwise
        connection.close()
        lost()
        if not isinstance(error, OSError):
            raise
        log.warning("connection-lost", errno=error.errno or 0)
