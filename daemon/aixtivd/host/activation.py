"""Sockets that the service manager listens on for us, whichever it is, or that the daemon before this one left us."""

import os
import socket
import sys
from collections.abc import Mapping, MutableMapping
from typing import Final

from msgspec import Struct

from aixtivd.errors import SocketFailed
from aixtivd.host import launchd, succession, systemd
from aixtivd.host.succession import WILL, Will

NAME: Final = "aixtiv"
"""The main socket's name: `FileDescriptorName=` of the systemd socket, the key under `Sockets` of the launchd job."""

GATEWAY: Final = "claude"
"""The gateway's: its Unix socket, and any number of ports on loopback."""

TICKET: Final = "ticket"
"""A port that belongs to one ticket. No service manager has those: only a daemon leaves them to the next."""

LAUNCHD_LABEL: Final = "io.github.aixtiv.aixtivd"

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


class Handed(Struct, frozen=True):
    """What came, each checked: it listens, and nobody from another machine can reach it."""

    main: socket.socket | None = None  # None: we were not started for it
    gateway: socket.socket | None = None
    ports: tuple[socket.socket, ...] = ()
    doors: tuple[socket.socket, ...] = ()  # those of single tickets
    will: Will = Will()  # of the daemon before this one, if there was one

    @property
    def any(self) -> bool:
        return bool(self.main or self.gateway or self.ports)


def manager(environ: Mapping[str, str], pid: int) -> str:
    """Who started this process, and would again: systemd (systemd.exec(5)), launchd; empty: no service manager."""
    if sys.platform == "darwin" and environ.get("XPC_SERVICE_NAME") == LAUNCHD_LABEL:
        return "launchd"
    return "systemd" if environ.get("SYSTEMD_EXEC_PID") == str(pid) else ""


def handed_over(environ: MutableMapping[str, str], pid: int) -> Handed:
    """By their names; one that is alone and has none of them is the main one. Others of other names are closed.

    Raises SocketFailed where several came and none has a name of ours (better not to guess), or one is not what its
    name says.
    """
    handed = systemd.handed_over(environ, pid)  # which is also how one daemon tells the next
    if not handed and sys.platform == "darwin":
        handed = _launchd()
    will = next((succession.read(fd) for name, fd in handed if name == WILL), Will())
    handed = tuple((name, fd) for name, fd in handed if name != WILL)
    ours = [(name, fd) for name, fd in handed if name in {NAME, GATEWAY, TICKET}]
    if handed and not ours:
        if len(handed) > 1:
            raise SocketFailed(f"the service manager handed over {len(handed)} sockets, and not one named {NAME}")
        ours = [(NAME, handed[0][1])]
    for _, fd in handed:
        if fd not in {mine for _, mine in ours}:
            os.close(fd)
    found: list[tuple[str, socket.socket]] = []
    try:
        for name, fd in ours:
            found.append((name, _socket(fd)))  # those before one that is none have to be closed
        return _sorted(found, will)
    except SocketFailed:
        for _, one in found:
            one.close()
        raise


def _launchd() -> tuple[tuple[str, int], ...]:
    return launchd.handed_over(NAME) + launchd.handed_over(GATEWAY)


def _socket(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise SocketFailed(f"what the service manager handed over is not a socket: {error.strerror}") from None


def _listens(one: socket.socket) -> bool:
    if one.type != socket.SOCK_STREAM:
        return False
    return sys.platform == "darwin" or one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0


def _sorted(found: list[tuple[str, socket.socket]], will: Will) -> Handed:
    if not all(_listens(one) for _, one in found):
        raise SocketFailed("the service manager handed over a socket on which nobody can call")
    unix = {name: [one for named, one in found if named == name and one.family == socket.AF_UNIX] for name, _ in found}
    others = [(name, one) for name, one in found if one.family != socket.AF_UNIX]
    for name, one in others:
        if name not in {GATEWAY, TICKET} or one.family not in {socket.AF_INET, socket.AF_INET6}:
            raise SocketFailed(f"the service manager handed over a socket {name} that is not a Unix socket")
        if (host := str(one.getsockname()[0])) not in _LOOPBACK:
            raise SocketFailed(f"the service manager handed over a port on {host}: only 127.0.0.1 and ::1 are served")
    for name, several in unix.items():
        if len(several) > 1:
            raise SocketFailed(f"the service manager handed over {len(several)} Unix sockets named {name}")
    main, gateway = (unix.get(name, []) for name in (NAME, GATEWAY))
    return Handed(
        main=main[0] if main else None,
        gateway=gateway[0] if gateway else None,
        ports=tuple(one for name, one in others if name == GATEWAY),
        doors=tuple(one for name, one in others if name == TICKET),
        will=will,
    )
