"""Accepting connections and handing them over, so that running out of descriptors is a pause and nothing worse."""

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Final

import anyio

from aixtivd import log

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


async def connections(listening: socket.socket, pause: float) -> AsyncGenerator[socket.socket, None]:
    """Each connection, for ever: cancel it, or leave it. `pause`: seconds where the machine has none left to give.

    Not through `create_server`: without file descriptors left, asyncio's server logs a line for each place in the
    backlog, and uvloop's accepts callers only to drop them (both seen); and the kernel is to be asked who it is before
    a transport reads. It costs some 20 µs a connection.
    """
    loop = asyncio.get_running_loop()
    listening.settimeout(0)
    while True:
        try:
            connection, _address = await loop.sock_accept(listening)
        except ConnectionAbortedError:
            continue
        except OSError as error:
            # Callers wait in the kernel's queue meanwhile; whatever ends gives back what is missing.
            sentence = "out of file descriptors or memory" if error.errno in _EXHAUSTED else "cannot accept"
            log.error("accepting-pauses", reason=sentence, errno=error.errno or 0)
            await anyio.sleep(pause)
            continue
        yield connection


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
