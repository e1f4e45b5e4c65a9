"""Who is at the other end of a connection, as the kernel says: asked before a byte is read."""

import os
import select
import socket
import struct
import sys
from typing import Final

from msgspec import Struct


class Peer(Struct, frozen=True):
    uid: int
    pid: int  # 0: the kernel does not say. Of the process that connected; it may have ended since


_UCRED: Final = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid
_XUCRED: Final = struct.Struct("=IIh2x16I")  # struct xucred, <sys/ucred.h>: version, uid, number of groups, groups
_XUCRED_VERSION: Final = 0
_SOL_LOCAL: Final = 0  # Darwin's <sys/un.h>; Python's socket module has no names for these three
_LOCAL_PEERCRED: Final = 0x001
_LOCAL_PEERPID: Final = 0x002


def peer_of(connection: socket.socket) -> Peer:
    """Of an accepted Unix socket. Raises OSError where the kernel will not say: then nobody may be served."""
    return _darwin_peer(connection) if sys.platform == "darwin" else _linux_peer(connection)


def _linux_peer(connection: socket.socket) -> Peer:
    answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _gid = _UCRED.unpack(answer)
    return Peer(uid=uid, pid=pid)


def _darwin_peer(connection: socket.socket) -> Peer:
    answer = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
    if len(answer) != _XUCRED.size:
        raise OSError("the kernel's answer about the peer has an unknown size")
    version, uid, *_groups = _XUCRED.unpack(answer)
    if version != _XUCRED_VERSION:
        raise OSError("the kernel's answer about the peer has an unknown version")
    return Peer(uid=uid, pid=connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID))


def allowed(peer: Peer) -> bool:
    """Same uid only (D11). Root is another user, too: what it may do, it can do without us."""
    return peer.uid == os.geteuid()


def hung_up(fd: int) -> bool:
    """Whether the peer has closed both ways, so that nobody can read an answer. A half-close is not a hang-up.

    A Unix socket reports POLLHUP only once both directions are shut (unix(7), Linux `unix_poll`; Darwin reports it
    for writing, hence POLLOUT; not run on a Mac).
    """
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))
