"""Who asks, as far as it can be said: the kernel's word about the process, and the caller's own about its agent."""

import time
from typing import Final

from msgspec import Struct

from aixtivd.access.peer import Peer

_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # what a process's start is told on, proc(5)


class Caller(Struct, frozen=True, kw_only=True):
    """Made once for a conversation, where it begins: a process may have ended when its name is wanted."""

    uid: int
    pid: int  # 0: not known; for our own work, the daemon itself
    program: str = ""  # path of the executable, or of an interpreter's script; through `aixtiv`, its parent's
    parent: int = 0  # pid
    agent: str = ""  # what the caller calls itself
    ticket: str = ""  # id of the ticket it showed
    since: float = 0.0  # when the conversation began, on CLOCK_BOOTTIME; 0: not known


DAEMON: Final = Caller(uid=0, pid=0, program="aixtivd")
"""For what happens without anybody asking."""


def caller_of(peer: Peer) -> Caller:
    """Of an accepted connection. Never raises: what cannot be found out stays empty."""
    return Caller(uid=peer.uid, pid=peer.pid, since=time.clock_gettime(_BOOTTIME))
