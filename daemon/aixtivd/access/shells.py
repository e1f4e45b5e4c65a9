"""Whose shell a subshell belongs to: `T=$(tool 2>/dev/null)` runs the tool in a fork of it, which ends at once."""

import re
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtivd.access.caller import program_of

_SHELL: Final = re.compile(r"-?(?:ba|da|z|fi|k|mk|a|pdk|ya)?sh[\d.]*\??|busybox\??")
_FIELDS: Final = {"parent": 1, "session": 3, "stack": 25}  # of stat behind the command's name, proc(5)
_DEEPEST: Final = 64  # subshells within one another


class Image(Struct, frozen=True):
    """What a fork shares with the one it was forked from, and a program that was started by it does not."""

    line: bytes
    session: str
    stack: str  # where it begins, which differs with each exec; 0: a sandbox hides it

    def __repr__(self) -> str:  # a command line may hold anything
        return "Image(…)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


def shell_of(pid: int) -> int:
    """The shell that forked this subshell, however deep; any other process is its own. Blocking.

    What a shell runs by `exec` is no fork of it: a shell typed in a shell, or a script, stays the one that asks.
    Only on Linux; elsewhere each process is its own.
    """
    if sys.platform != "linux" or not _is_shell(pid):
        return pid
    for _ in range(_DEEPEST):
        known = _image(pid)
        above = _image(known[1]) if known and known[1] > 1 else None
        if known is None or above is None or above[0] != known[0]:
            break
        pid = known[1]
    return pid


def _is_shell(pid: int) -> bool:
    """Another program's forks, such as a server's workers, are processes in their own right."""
    return bool(_SHELL.fullmatch(program_of(pid).split(" ", 1)[0].rpartition("/")[2]))


def _image(pid: int) -> tuple[Image, int] | None:
    """With the parent's number. None: there is no such process, or nothing can be read of it."""
    folder = Path(f"/proc/{pid}")
    try:
        stat, line = (folder / "stat").read_bytes(), (folder / "cmdline").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].decode().split()
    parent, session, stack = (fields[at] for at in _FIELDS.values())
    return Image(line, session, stack), int(parent)
