"""Sockets that the service manager listens on for us, whichever service manager it is."""

import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Final

from aixtivd.errors import SocketFailed
from aixtivd.host import launchd, systemd

NAME: Final = "aixtiv"
"""The main socket's name: `FileDescriptorName=` of the systemd socket, the key under `Sockets` of the launchd job."""


def main_socket(environ: MutableMapping[str, str], pid: int) -> socket.socket | None:
    """The one called `aixtiv`, else the only one there is; None if we were not started for a socket.

    Raises SocketFailed where several came and none has the name: better not to guess.
    """
    handed = launchd.handed_over(NAME) if sys.platform == "darwin" else systemd.handed_over(environ, pid)
    if not handed:
        return None
    mine = [fd for name, fd in handed if name == NAME]
    if not mine and len(handed) == 1:
        mine = [handed[0][1]]
    if len(mine) != 1:
        raise SocketFailed(f"the service manager handed over {len(handed)} sockets, and not one named {NAME}")
    for _, fd in handed:
        if fd != mine[0]:
            os.close(fd)
    try:
        return socket.socket(fileno=mine[0])
    except OSError as error:
        raise SocketFailed(f"what the service manager handed over is not a socket: {error.strerror}") from None
