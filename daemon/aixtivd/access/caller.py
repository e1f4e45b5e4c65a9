"""Who asks, as far as it can be said: the kernel's word about the process, and the caller's own about its agent."""

import os
import re
import socket
import sys
import time
from typing import Final

from msgspec import Struct

from aixtivd.access.identity import (
    Identity,
    Image,
    cgroup_of,
    has_ended,
    identity_of,
    image_of,
    pinned,
    uid_of,
    unit_of,
)
from aixtivd.access.peer import Peer

_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # what a process's start is told on, proc(5)
_ADOPTS: Final = re.compile(r"systemd|init|launchd|tini|dumb-init|catatonit|docker-init|runit|s6-svscan|conmon")
"""Names of those that orphans are given to, as their new parent."""


class Caller(Struct, frozen=True, kw_only=True):
    """Made once for a conversation, where it begins: a process may have ended when its name is wanted."""

    uid: int
    pid: int  # 0: not known; for our own work, the daemon itself
    program: str = ""  # path of the executable; of an interpreter also its script; through `aixtiv`, its parent's
    executable: str = ""  # path alone, as the kernel says; empty: it cannot be read
    script: str = ""  # of an interpreter, as the process says
    unit: str = ""  # systemd's, the innermost; empty: none
    cgroup: str = ""  # path
    parent: int = 0  # pid of whoever asks through `aixtiv`, and is meant by executable and script; 0: it asks itself
    agent: str = ""  # what the caller calls itself
    ticket: str = ""  # id of the ticket it showed
    since: float = 0.0  # when the conversation began, on CLOCK_BOOTTIME; 0: not known
    mark: str = ""  # which program in which process this was said of; empty: that cannot be said
    parent_mark: str = ""


DAEMON: Final = Caller(uid=0, pid=0, program="aixtivd")
"""For what happens without anybody asking."""


def caller_of(peer: Peer, connection: socket.socket | None = None) -> Caller:
    """Of an accepted connection. Never raises: what cannot be found out stays empty (all of it on macOS, so far).

    What is said is said of the process that connected: it still lives when all has been read, so that its number was
    nobody else's. It reads /proc in the loop: memory of the kernel, no disk, some microseconds; a thread would cost
    more, and the process may have ended when it comes back.
    """
    since = time.clock_gettime(_BOOTTIME)
    return _told(peer.uid, peer.pid, since, connection) or Caller(uid=peer.uid, pid=peer.pid, since=since)


def described(pid: int) -> Caller:
    """The process with that number, now, as if it had just connected. There is none: then `pid` is 0."""
    uid = uid_of(pid) if sys.platform == "linux" else -1
    told = _told(uid, pid, time.clock_gettime(_BOOTTIME)) if uid >= 0 else None
    return told or Caller(uid=-1, pid=0)


def unchanged(caller: Caller) -> bool:
    """Whether the process lives, is the same one, and has run no other program since it connected; through `aixtiv`,
    also its parent. False where that cannot be said (a TCP port, macOS).
    """
    image = image_of(caller.pid) if caller.mark else None
    if image is None or image.mark != caller.mark:
        return False
    if not caller.parent:
        return True
    above = image_of(caller.parent)
    return above is not None and above.mark == caller.parent_mark


def unknown_of(caller: Caller) -> str:
    """A sentence about what could not be found out, and why. Empty: nothing."""
    if not caller.mark:
        return "nothing is known of it but its user: it has ended, or this system does not say"
    if caller.executable:
        return ""
    if _is_ours(caller.program) and not caller.parent:
        return "whoever ran this aixtiv has ended, so it asks for nobody"
    return "its executable is not known: it, or the daemon, is in a sandbox or not to be looked into"


def program_of(pid: int) -> str:
    """What it runs, for people: `/usr/bin/python3 tool.py`; with a question mark where only the process says so."""
    return identity_of(pid).program


def _told(uid: int, pid: int, since: float, connection: socket.socket | None = None) -> Caller | None:
    if sys.platform != "linux" or pid <= 0:
        return None
    try:
        fd = pinned(pid, connection)
    except ProcessLookupError:
        return None
    try:
        told = _read_out(uid, pid, since)
        return None if fd is not None and has_ended(fd) else told
    finally:
        if fd is not None:
            os.close(fd)


def _read_out(uid: int, pid: int, since: float) -> Caller | None:
    """The marks come first: what was read after an exec meanwhile does not belong to them, and `unchanged` says so."""
    image = image_of(pid)
    if image is None:
        return None
    who, cgroup = identity_of(pid), cgroup_of(pid)
    parent, parent_mark = 0, ""
    if _is_ours(who.program):
        above = _asking(pid, image)
        known = bool(who.executable)  # else anything can call itself so, and must not get what is known of its parent
        parent, parent_mark, who = above or (0, "", Identity(program=who.program))
        if not known:
            who = Identity(program=f"{who.program.removesuffix('?')}?", script=who.script)
    return Caller(
        uid=uid,
        pid=pid,
        program=who.program,
        executable=who.executable,
        script=who.script,
        unit=unit_of(cgroup),
        cgroup=cgroup,
        parent=parent,
        since=since,
        mark=image.mark,
        parent_mark=parent_mark,
    )


def _is_ours(program: str) -> bool:
    """Whether it is the command of that name, which asks for somebody else."""
    return program.removesuffix("?").endswith(("/aixtiv", " -m aixtiv"))


def _asking(pid: int, image: Image) -> tuple[int, str, Identity] | None:
    """Who started that `aixtiv`. None: nobody who could be told, since it is an orphan, with a new parent or none.

    Unit and control group are its own in any case: they are inherited, and an orphan keeps them.
    """
    parent = image.parent
    above = image_of(parent) if parent > 1 else None
    if above is None or image.session not in {above.session, pid}:  # a daemon's way: its session's founder has ended
        return None
    who = identity_of(parent)
    if _ADOPTS.fullmatch(who.executable.rpartition("/")[2]):
        return None
    again = image_of(pid)  # it is its child still, so that the number was nobody else's
    return (parent, above.mark, who) if again is not None and again.parent == parent else None
