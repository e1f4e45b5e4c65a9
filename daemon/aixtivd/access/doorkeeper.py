"""Who may come in by a Unix socket: asked before a byte is read, and other users are not let fill the log."""

import socket
import time
from typing import Final

from aixtivd import log
from aixtivd.access.peer import Peer, allowed, peer_of

_QUIET: Final = 60.0  # seconds between two log lines about other users: they could fill the disk with them


class Doorkeeper:
    def __init__(self) -> None:
        self._refused_at = -_QUIET  # when another user was last logged

    def admits(self, connection: socket.socket) -> Peer | None:
        """None: nobody that may be served, or the kernel does not say who."""
        try:
            peer = peer_of(connection)
        except OSError:
            return None
        if allowed(peer):
            return peer
        if time.monotonic() - self._refused_at > _QUIET:
            self._refused_at = time.monotonic()
            log.warning("other-user-refused", uid=peer.uid, pid=peer.pid)
        return None
