"""The vault's folder: whose it is, how open its files are, who holds its lock, and what has surely reached the disk."""

import fcntl
import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from aixtivd.errors import StoreFailed


class NotPlain(OSError):
    """A FIFO, a device or the like where a file should be."""


class Fault(Struct, frozen=True):
    """What is wrong with a file, and the command that mends it."""

    sentence: str
    hint: str


def fault(path: Path, what: str) -> Fault | None:
    """Why `path` cannot be trusted: not a plain file, not ours, or open to others. None: it can, or it is not there.

    `what` names it in the sentence: "the store".
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Fault(f"{what} {path} cannot be read: {reason(error)}", f"ls -ld {shlex.quote(str(path.parent))}")
    if not stat.S_ISREG(found.st_mode):
        return Fault(f"{what} {path} is not a plain file", f"ls -ld {shlex.quote(str(path))}")
    return _too_open(path, what, found, 0o600)


def _too_open(path: Path, what: str, found: os.stat_result, wanted: int) -> Fault | None:
    quoted = shlex.quote(str(path))
    if found.st_uid != os.geteuid():
        return Fault(f"{what} {path} belongs to another user (uid {found.st_uid})", f"chown {os.geteuid()} {quoted}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return Fault(f"{what} {path} is open to others (mode {mode:04o})", f"chmod {wanted:o} {quoted}")
    return None


def enter(folder: Path) -> None:
    """Makes the folder, 0700, or checks the one there. Raises StoreFailed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise StoreFailed(
            f"the folder {folder} cannot be used: {reason(error)}", hint=f"ls -ld {shlex.quote(str(folder.parent))}"
        ) from None
    if wrong := _too_open(folder, "the folder", found, 0o700):
        raise StoreFailed(wrong.sentence, hint=wrong.hint)


def check(path: Path, what: str) -> None:
    """Raises StoreFailed where `fault` finds one."""
    if wrong := fault(path, what):
        raise StoreFailed(wrong.sentence, hint=wrong.hint)


def open_plain(path: Path, how: int) -> int:
    """Opens a file that is there, a plain one and no link: nothing else can keep us waiting or lead us elsewhere.

    `how`: O_RDONLY or O_RDWR. Raises OSError.
    """
    held = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise NotPlain
    return held


def read_plain(path: Path, most: int) -> bytes:
    """The first `most` bytes of a plain file. Raises OSError."""
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        return file.read(most)


def lock(path: Path, store: Path) -> int:
    """Takes the lock file for as long as the returned descriptor is open. Raises StoreFailed if a daemon has it.

    A file of its own: closing any descriptor of SQLite's file would drop SQLite's own locks (POSIX). It is never
    unlinked, or two daemons could each hold the lock of "the" file.
    """
    check(path, "the lock file")
    try:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailed(
            f"the lock file {path} cannot be opened: {reason(error)}", hint=f"ls -l {shlex.quote(str(path))}"
        ) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(held, 20).decode(errors="replace").strip()
        os.close(held)
        who = f"another daemon (process {owner})" if owner.isdigit() else "another daemon"
        raise StoreFailed(f"{who} has the store {store} open", hint="aixtiv status") from None
    except OSError as error:  # a file system without locks
        os.close(held)
        raise StoreFailed(
            f"the lock file {path} cannot be locked: {reason(error)}", hint=f"df -hT {shlex.quote(str(path.parent))}"
        ) from None
    _sign(held)
    return held


def _sign(held: int) -> None:
    """Who has the lock, for the other daemon's sentence. On a full disk it stays unsaid."""
    try:
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass


def make_private(path: Path) -> int:
    """Opens a new file that is 0600 from its first byte whatever the umask; one left half-made is begun again."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_whole(path: Path, write: Callable[[int], None]) -> None:
    """A private file with what `write` writes into its descriptor: durable, or not there at all. Raises OSError."""
    half_made = path.with_name(path.name + ".new")
    held = make_private(half_made)
    try:
        write(held)
        sync(held)
    except OSError:
        half_made.unlink(missing_ok=True)
        raise
    finally:
        os.close(held)
    settle(half_made, path)


def settle(half_made: Path, path: Path) -> None:
    """Gives a finished, synced file its name, and makes the name durable."""
    half_made.replace(path)
    held = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def sync(held: int) -> None:
    """Forces a file's bytes to the disk itself. On macOS fsync stops at the drive's cache (fsync(2) there)."""
    if sys.platform == "darwin":
        fcntl.fcntl(held, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(held)


def reason(error: OSError) -> str:
    """The operating system's words, lower case: "no space left on device"."""
    if isinstance(error, NotPlain):
        return "it is not a plain file"
    words = os.strerror(error.errno) if error.errno else type(error).__name__
    return words[:1].lower() + words[1:]
