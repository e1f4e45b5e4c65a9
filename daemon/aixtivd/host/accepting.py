"""Accepting connections and handing them over, so that running out of descriptors is a pause and nothing worse."""

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Callable
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
        self._waiting = anyio.CancelScope()

    def close(self) -> None:
        """Takes nobody more: who comes waits in the kernel's queue, for whoever listens next."""
        self._closed = True
        self._waiting.cancel()

    async def connections(self) -> AsyncGenerator[socket.socket, None]:
        """Each one, until it is closed."""
        self._socket.settimeout(0)
        while not self._closed:
            try:
                connection, _address = self._socket.accept()
            except BlockingIOError:
                await self._until_somebody_comes()
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # Callers wait in the kernel's queue meanwhile; whatever ends gives back what is missing.
                sentence = "out of file descriptors or memory" if error.errno in _EXHAUSTED else "cannot accept"
                log.error("accepting-pauses", reason=sentence, errno=error.errno or 0)
                await anyio.sleep(self._pause)
            else:
                connection.settimeout(0)
                yield connection

    async def _until_somebody_comes(self) -> None:
        with anyio.CancelScope() as self._waiting:
            await anyio.wait_readable(self._socket)


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
