"""One process as Linux's /proc describes it: what it runs, in whose unit, and a mark by which to know it again."""

import os
import re
import select
import socket
from functools import cache
from typing import Final

from msgspec import Struct

_SO_PEERPIDFD: Final = 77  # asm-generic/socket.h, Linux 6.5; Python's socket module has no name for it
_LOOK: Final = 4096  # bytes of such a file that are looked at: of a long command line, the beginning
_INTERPRETER: Final = re.compile(
    r"(?:python|pypy|node|nodejs|deno|bun|ruby|perl|php|lua|bash|dash|zsh|fish|ksh|sh)[\d.]*(?:-\w+)?"
)
_CODE: Final = re.compile(r"(-\w*[ceEpr]\w*|--\w+)(=.*)?", re.DOTALL)
"""Options behind which a program stands, which may hold anything (`bash -lc`, `perl -ne`, `node --eval=…`), and long
ones, which may take a value. Too many rather than too few: then the name of a script is not told."""

# Of stat, behind the command's name (proc(5)).
_STATE, _PARENT, _SESSION, _STARTED, _CODE_AT, _STACK_AT = 0, 1, 3, 19, 23, 25


class Image(Struct, frozen=True):
    """One program in one process. `mark` is another one after each exec, and in whoever has the same number later.

    It is the time of the start (ticks since boot), where code and stack begin, which the kernel chooses anew at each
    exec unless it was told not to (`setarch -R`), and therefore also the path of the executable. Where it does not
    tell (the daemon in a sandbox of its own, a process that is not dumpable) the name stands instead, which an exec
    changes, too, but which a process can also give itself.
    """

    mark: str
    parent: int  # pid
    session: int


class Identity(Struct, frozen=True):
    """What that program is. Empty: it cannot be read, or there is none."""

    program: str = ""  # for people: executable and script in one; with a question mark where only the process says so
    executable: str = ""  # path
    script: str = ""  # of an interpreter, as the process says: path, `-m NAME`, or the option behind which code stands


def pinned(pid: int, connection: socket.socket | None = None) -> int | None:
    """A pidfd: of whoever made that connection, even if the number were another's by now (Linux 6.5), or else of
    whoever has the number. None: this kernel has none (before 5.3), or a sandbox keeps it.

    Raises ProcessLookupError where there is no such process; one that has ended may have one (`has_ended`).
    """
    fd = None if connection is None else _peers(connection)
    return _opened(pid) if fd is None else fd


def _peers(connection: socket.socket) -> int | None:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except ProcessLookupError:  # 6.5 to 6.15: of a process that is no more there is none
        raise
    except OSError:  # an older kernel: the number has to do
        return None


def _opened(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (OSError, AttributeError):  # no such call, a filter of system calls, no descriptor left
        return None


def has_ended(fd: int) -> bool:
    """A pidfd can be read once its process is no more than a zombie (pidfd_open(2))."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def image_of(pid: int) -> Image | None:
    """None: there is no such process, or it has ended and only its parent has not heard of it yet."""
    try:
        stat = _read(pid, "stat")
        name = stat[stat.index(b"(") : stat.rindex(b")") + 1]  # it may hold blanks and brackets
        fields = stat[stat.rindex(b")") + 2 :].split()
        stack = fields[_STACK_AT]
    except (OSError, ValueError, IndexError):
        return None
    if fields[_STATE] in {b"Z", b"X"}:
        return None
    place = fields[_CODE_AT] + b" " + stack if stack != b"0" else name
    mark = f"{(fields[_STARTED] + b' ' + place).decode(errors='replace')} {_executable(pid)}"
    return Image(mark, int(fields[_PARENT]), int(fields[_SESSION]))


def _executable(pid: int) -> str:
    """As its link has it; empty: it cannot be read. No device and inode: to ask for these asks its file system, which
    may be one of the process's own that never answers. Replaced by an update it is the same still.
    """
    try:
        return _text(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")  # noqa: PTH115  # as below
    except OSError:
        return ""


def identity_of(pid: int) -> Identity:
    """Whatever it runs at this moment: what it was before an exec only `image_of`, asked before and after, tells.

    A script's name is the caller's own word (any process can write its command line). No other argument is ever read
    out: they may hold secrets. The executable is not known, and what is told for people is marked, where the kernel
    does not tell its path (nobody's, to a sandboxed daemon with a user namespace of its own), and where the path is
    one in a file system of the process's own: in a mount namespace anything can be put at any path.
    """
    try:
        path = _text(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")  # noqa: PTH115  # half of Path's time
        elsewhere = os.readlink(f"/proc/{pid}/ns/mnt") != _our_mounts()  # noqa: PTH115
    except PermissionError:
        path, elsewhere = "", True
    except OSError:
        return Identity()
    line = _command_line(pid) if not path or _interprets(path) else [path]
    path = path or line[0]
    script = script_among(line[1:]) if _interprets(path) else ""
    program = f"{path} {script}".rstrip()
    if elsewhere:
        return Identity(program=program and f"{program}?", script=script)
    return Identity(program=program, executable=path, script=script)


@cache
def _our_mounts() -> str:
    return os.readlink("/proc/self/ns/mnt")  # noqa: PTH115


def _text(path: str) -> str:
    """A path that is no UTF-8 could not be said on the wire."""
    return os.fsencode(path).decode(errors="replace")


def cgroup_of(pid: int) -> str:
    """The path of its control group, of version 2; empty: it has none."""
    try:
        lines = _read(pid, "cgroup").decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def unit_of(cgroup: str) -> str:
    """The innermost unit that a service manager made. Empty: none.

    Below the slices stands the unit, and below a user's manager (`user@1000.service`) again slices and a unit. What
    stands below a unit is made by whoever runs in it, and can have any name: it is not looked at.
    """
    unit = ""
    for part in cgroup.split("/")[1:]:
        name = part.removeprefix("_")  # systemd's own escape, where the kernel could take a name for one of its files
        if name.endswith(".slice"):
            continue
        if name.endswith((".service", ".scope")):
            unit = name
        if not (name.startswith("user@") and name.endswith(".service")):
            break
    return unit


def uid_of(pid: int) -> int:
    """Effective; -1: it cannot be said. From `status`: the folder's owner is root where a process is not dumpable."""
    try:
        status = _read(pid, "status")
        return int(status[status.index(b"\nUid:") :].split(maxsplit=3)[2])
    except (OSError, ValueError, IndexError):
        return -1


def _interprets(path: str) -> bool:
    return bool(_INTERPRETER.fullmatch(path[path.rfind("/") + 1 :].lstrip("-")))  # a login shell's begins with "-"


def script_among(arguments: list[str]) -> str:
    """The first argument that is no option; `-m NAME`; or the option behind which something else stands."""
    for at, argument in enumerate(arguments):
        if argument == "-m":
            return " ".join(arguments[at : at + 2])
        if code := _CODE.fullmatch(argument):
            return code[1]
        if argument and not argument.startswith("-"):
            return argument
    return ""


def _command_line(pid: int) -> list[str]:
    try:
        return _read(pid, "cmdline").decode(errors="replace").split("\0")
    except OSError:
        return [""]


def _read(pid: int, what: str) -> bytes:
    """Of that file in /proc, its beginning. Raises OSError."""
    held = os.open(f"/proc/{pid}/{what}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(held, _LOOK)
    finally:
        os.close(held)
