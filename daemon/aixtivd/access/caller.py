"""Who asks, as far as it can be said: the kernel's word about the process, and the caller's own about its agent."""

import os
import re
import sys
import time
from typing import Final

from msgspec import Struct

from aixtivd.access.peer import Peer

_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # what a process's start is told on, proc(5)
_INTERPRETER: Final = re.compile(
    r"(?:python|pypy|node|nodejs|deno|bun|ruby|perl|php|lua|bash|dash|zsh|fish|ksh|sh)[\d.]*(?:-\w+)?"
)
_LOOK: Final = 4096  # bytes of such a file that are looked at: of a long command line, the beginning
_CODE: Final = re.compile(r"(-\w*[ceEpr]\w*|--\w+)(=.*)?", re.DOTALL)
"""Options behind which a program stands, which may hold anything (`bash -lc`, `perl -ne`, `node --eval=…`), and long
ones, which may take a value. Too many rather than too few: then the name of a script is not told."""


class Caller(Struct, frozen=True, kw_only=True):
    """Made once for a conversation, where it begins: a process may have ended when its name is wanted."""

    uid: int
    pid: int  # 0: not known; for our own work, the daemon itself
    program: str = ""  # path of the executable; of an interpreter also its script; through `aixtiv`, its parent's
    executable: str = ""  # path alone, as the kernel says; empty: it cannot be read
    script: str = ""  # of an interpreter, as the process says
    unit: str = ""  # systemd's, the innermost; empty: none
    cgroup: str = ""  # path
    parent: int = 0  # pid; only where it was asked for: through `aixtiv`
    agent: str = ""  # what the caller calls itself
    ticket: str = ""  # id of the ticket it showed
    since: float = 0.0  # when the conversation began, on CLOCK_BOOTTIME; 0: not known


DAEMON: Final = Caller(uid=0, pid=0, program="aixtivd")
"""For what happens without anybody asking."""


def caller_of(peer: Peer) -> Caller:
    """Of an accepted connection. Never raises: what cannot be found out stays empty (all of it on macOS, so far).

    It reads /proc in the loop: memory of the kernel, no disk, some microseconds; a thread would cost more, and the
    process may have ended when it comes back.
    """
    since = time.clock_gettime(_BOOTTIME)
    if sys.platform != "linux" or not peer.pid:
        return Caller(uid=peer.uid, pid=peer.pid, since=since)
    program, parent = program_of(peer.pid), 0
    if _is_ours(program) and (parent := _parent_of(peer.pid)):
        program = program_of(parent) or program
    return Caller(uid=peer.uid, pid=peer.pid, program=program, parent=parent, since=since)


def program_of(pid: int) -> str:
    """The path of what it runs; of an interpreter also the script, as the process says: `/usr/bin/python3 tool.py`.

    A script's name is the caller's own word (any process can write its command line), so the interpreter stands
    before it. In a user namespace, which a sandboxed unit has, the path cannot be read either: then all of it is the
    caller's word, and ends with a question mark. No other argument is ever read out: they may hold secrets.
    """
    try:
        path = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115  # half the time of a Path
    except PermissionError:
        line = _command_line(pid)
        return f"{_with_script(line[0], line)}?" if line and line[0] else ""
    except OSError:
        return ""
    path = path.removesuffix(" (deleted)")
    return _with_script(path, _command_line(pid)) if _interprets(path) else path


def _interprets(path: str) -> bool:
    return bool(_INTERPRETER.fullmatch(path[path.rfind("/") + 1 :].lstrip("-")))  # a login shell's begins with "-"


def _with_script(path: str, line: list[str]) -> str:
    script = _script(line[1:]) if _interprets(path) else ""
    return f"{path} {script}" if script else path


def _command_line(pid: int) -> list[str]:
    try:
        line = _read(pid, "cmdline")
    except OSError:
        return []
    return line.decode(errors="replace").split("\0")


def _read(pid: int, what: str) -> bytes:
    """Of that file in /proc, its beginning. Raises OSError."""
    held = os.open(f"/proc/{pid}/{what}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(held, _LOOK)
    finally:
        os.close(held)


def _script(arguments: list[str]) -> str:
    """The first argument that is no option; `-m NAME`; or the option behind which something else stands."""
    for at, argument in enumerate(arguments):
        if argument == "-m":
            return " ".join(arguments[at : at + 2])
        if code := _CODE.fullmatch(argument):
            return code[1]
        if argument and not argument.startswith("-"):
            return argument
    return ""


def _is_ours(program: str) -> bool:
    """Whether it is the command of that name, which asks for somebody else."""
    return program.removesuffix("?").endswith(("/aixtiv", " -m aixtiv"))


def _parent_of(pid: int) -> int:
    """0: it cannot be said."""
    try:
        stat = _read(pid, "stat")
        return int(stat[stat.rindex(b")") + 2 :].split(maxsplit=2)[1])
    except (OSError, ValueError, IndexError):
        return 0
