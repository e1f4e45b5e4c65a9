"""Loopback ports: whether one is free, and who holds it if it is not."""

import contextlib
import errno
import socket
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

LOOPBACKS: Final = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # this machine has no such address

_LISTENS: Final = "0A"  # proc(5), the state in /proc/net/tcp


class Refusal(Struct, frozen=True):
    """Why a port cannot be bound."""

    taken: bool
    absent: bool  # there is no such address on this machine
    sentence: str


def bind(address: str, port: int) -> tuple[socket.socket | None, Refusal | None]:
    """A socket bound there (the caller closes it), or why not. As a callback's listener binds, IPv6 is IPv6 only."""
    try:
        bound = socket.socket(LOOPBACKS[address], socket.SOCK_STREAM)
    except OSError as error:
        return None, _refusal(error)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been closed does not count
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen(1)  # with SO_REUSEADDR only this fails where somebody listens (macOS)
    except OSError as error:
        bound.close()
        return None, _refusal(error)
    return bound, None


def refusal(address: str, port: int) -> Refusal | None:
    """Why that port cannot be bound right now; None: it can."""
    bound, why = bind(address, port)
    if bound:
        bound.close()
    return why


def _refusal(error: OSError) -> Refusal:
    words = (error.strerror or str(error)).lower()
    return Refusal(error.errno == errno.EADDRINUSE, error.errno in NOT_HERE, words)


def answers(address: str, port: int, seconds: float = 2.0) -> bool:
    """Whether somebody accepts a connection there."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True


class Holder(Struct, frozen=True):
    """The program that listens on a port."""

    name: str
    pid: int = 0  # 0: another user's, or this system does not tell

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else self.name


def holder(port: int, proc: Path = Path("/proc")) -> Holder:
    """Who listens on `port`, as the kernel's tables say (proc(5)). Elsewhere than on Linux nobody can say."""
    stranger = Holder("another program")
    if sys.platform != "linux":
        return stranger
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(proc / "net" / table, port)}
    if not inodes:
        return stranger
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or it has ended
            if any(str(fd.readlink()) in inodes for fd in (folder / "fd").iterdir()):
                return Holder((folder / "comm").read_text().strip(), int(folder.name))
    return stranger


def _listening(table: Path, port: int) -> list[str]:
    """Inodes of the sockets that listen there. Columns: sl local remote st tx:rx tr:when retrnsmt uid timeout inode."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port]


def who(port: int) -> str:
    """The command that shows who has a port."""
    return f"ss -ltnp 'sport = :{port}'" if sys.platform == "linux" else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
