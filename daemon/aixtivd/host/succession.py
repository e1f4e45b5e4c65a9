"""The `aixtivd` that takes this one's place in the same process: tried beforehand, and given the listening sockets."""

import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aixtivd import log
from aixtivd.errors import BadConfig, NotReplaced
from aixtivd.host import program as programs
from aixtivd.host.systemd import FIRST_FD

WILL: Final = "will"
"""The name of the file that says what the sockets' names do not."""

UNREADABLE: Final = "what the daemon before this one left could not be read, so it was locked"
_TRIAL: Final = 20.0  # seconds for the new one to say its version, and whether the config is right
_UNASKED: Final = "ended with status 64"  # by one that is too old to be asked
_LARGEST: Final = 8 << 20  # bytes of a will: a thousand tickets are half a megabyte


class Will(Struct, frozen=True, kw_only=True):
    """What one daemon leaves to the next beside its sockets; who does not know a field leaves it."""

    inodes: dict[str, tuple[int, int]] = {}  # of the Unix sockets that it bound itself, by their names
    fixed: tuple[int, ...] = ()  # ports that were opened because the config says so
    doors: dict[int, str] = {}  # ports that belong to one ticket: its id
    tickets: tuple[bytes, ...] = ()  # that the vault does not keep
    locked: str = ""  # why the vault was, if it was
    called: str = ""  # the path by which the first of them was called: it may be there again, though another took over


class Left(Struct, frozen=True):
    """One listening socket and its name."""

    name: str
    socket: socket.socket


class Successor(Struct, frozen=True):
    """`command`: what is executed. `words`: what the service manager had told us in the environment."""

    command: tuple[str, ...]
    sockets: tuple[Left, ...]
    will: Will
    words: dict[str, str]


def successor(called: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """What to execute: the name by which this one was called, since an upgrade puts the new one there; else the one
    beside this Python. Raises NotReplaced.
    """
    for candidate in (Path(os.path.abspath(called)), Path(sys.executable).parent / "aixtivd"):  # noqa: PTH100  # follows no link
        if candidate.name.startswith("aixtivd") and candidate.is_file() and os.access(candidate, os.X_OK):
            return (str(candidate), *arguments)
    raise NotReplaced(f"there is no aixtivd at {called} any more", hint="pipx reinstall aixtiv")


async def tried(command: Sequence[str]) -> str:
    """Its version. Raises NotReplaced where it does not run or knows no such store, BadConfig where it would refuse
    its config.

    Run as any other program of the person's: in few variables, and bounded.
    """
    program = command[0]
    try:
        told = await programs.output_of((program, "--version"), _TRIAL)
    except programs.Failed as failure:
        raise NotReplaced(f"{program} {failure}, so the daemon stays as it is", hint=f"{program} --version") from None
    name, _, version = told.strip().partition(" ")
    if name != "aixtivd" or not version or not version.isprintable():
        raise NotReplaced(f"{program} is no aixtivd, so the daemon stays as it is", hint=f"{program} --version")
    try:
        await programs.output_of((*command, "--check-config"), _TRIAL)
    except programs.Failed:
        raise BadConfig(f"aixtivd {version} does not take the config, so the daemon stays as it is") from None
    try:
        await programs.output_of((*command, "--check-store"), _TRIAL)
    except programs.Failed as failure:
        if str(failure) != _UNASKED:
            sentence = f"aixtivd {version} does not take the store, so the daemon stays as it is"
            raise NotReplaced(sentence, hint=f"{program} --check-store") from None
    return version


def promise(version: str, calls: int, seconds: float, *, person: bool) -> str:
    """What somebody is told who asked for it. `calls`: relayed, which may end first; `person`: who opens the vault."""
    open_calls = "the relayed call that is open has" if calls == 1 else f"the {calls} relayed calls that are open have"
    waits = f" when {open_calls} ended, or after {seconds:.0f} seconds" if calls else ""
    return f"restarting as aixtivd {version}{waits}" + ("; the vault is locked then: aixtiv unlock" if person else "")


def left_locked(heir: Successor | None, reason: str) -> Successor | None:
    """What was locked stays so: also by a lock that ended with the last task, or for which there was no time."""
    if heir is None or not reason:
        return heir
    return replace(heir, will=replace(heir.will, locked=reason))


def become(heir: Successor, environ: Mapping[str, str]) -> NoReturn:
    """Never returns: this process goes on as the next daemon, told of its sockets as systemd would tell it.

    Raises NotReplaced where it cannot be executed; then descriptors have been closed, and nothing can be done but end.
    """
    sockets = [left for left in heir.sockets if left.socket.fileno() >= 0]  # a ticket may have ended meanwhile
    try:
        _put_in_place(sockets, heir.will)
    except OSError as error:
        raise NotReplaced(f"the sockets cannot be handed over: {os.strerror(error.errno or 0)}") from None
    names = [*(left.name for left in sockets), WILL]
    told = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(names)),
        "LISTEN_FDNAMES": ":".join(names),
    }
    try:
        os.execve(heir.command[0], heir.command, {**environ, **heir.words, **told})  # noqa: S606  # that is what it is for
    except OSError as error:
        raise NotReplaced(f"{heir.command[0]} cannot be executed: {os.strerror(error.errno or 0)}") from None


def _put_in_place(sockets: Sequence[Left], will: Will) -> None:
    """Raises OSError where there are not as many descriptors as that takes."""
    fds = [_above(left.socket.fileno(), len(sockets)) for left in sockets]
    fds.append(_above(_written(will), len(sockets)))
    for place, fd in enumerate(fds, FIRST_FD):
        os.dup2(fd, place)  # which makes it survive the execution; whatever else was there has no use any more


def _above(fd: int, sockets: int) -> int:
    """A copy out of the way of the numbers that are given out."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD + sockets + 1)


def _written(will: Will) -> int:
    """In a file that has no name, and on Linux no disk."""
    if sys.platform == "linux":
        fd = os.memfd_create(WILL)
    else:  # not run on a Mac
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    text = memoryview(msgspec.msgpack.encode(will))
    while text:
        text = text[os.write(fd, text) :]
    return fd


def read(fd: int) -> Will:
    """Closes `fd`. Of one that cannot be read nobody knows whether the vault was locked, so it is."""
    try:
        with open(fd, "rb") as file:  # a descriptor
            file.seek(0)
            return msgspec.msgpack.decode(file.read(_LARGEST), type=Will)
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("will-unreadable", exception=type(error).__name__)
        return Will(locked=UNREADABLE)
