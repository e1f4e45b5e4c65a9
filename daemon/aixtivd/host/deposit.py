"""A file for somebody else's tool: 0600, whole at every moment, through no link, and in no folder that others write.

All of it blocks. A file that is not ours is left alone: it is told by a hash of what was written there.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST: Final = 1 << 20  # bytes; nothing that is put here is longer


class Unsuitable(Exception):
    """Why nothing can be put there: a sentence that begins with the path."""


def mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> bytes | None:
    """None: there is none. Raises Unsuitable."""
    try:
        with _folder(path, make=False) as folder:
            return _contents(path, folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _trouble(path, error) from None


def put(path: Path, data: bytes, ours: Collection[str]) -> bool:
    """Whether it was written: it may be there already. `ours`: the marks of what may be replaced. Raises Unsuitable."""
    try:
        with _folder(path, make=True) as folder:
            _drop_draft(path.name, folder)
            there = _contents(path, folder)
            if there is not None and mark(there) not in ours:
                raise Unsuitable(f"{path}: a file is there that aixtiv did not write")
            if there == data and stat.S_IMODE(os.stat(path.name, dir_fd=folder).st_mode) == 0o600:
                return False
            _replace(path.name, data, folder)
            return True
    except OSError as error:
        raise _trouble(path, error) from None


def take(path: Path, ours: Collection[str]) -> None:
    """Removes it, if it is ours. One that is not, or is gone, is none of our business. Raises Unsuitable."""
    try:
        with _folder(path, make=False) as folder:
            _drop_draft(path.name, folder)
            there = _contents(path, folder)
            if there is not None and mark(there) in ours:
                os.unlink(path.name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _trouble(path, error) from None


def _draft(name: str) -> str:
    """The same in each process: what a daemon that was killed left is found by the next one."""
    return f".{name}.aixtiv"


def _drop_draft(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_draft(name), dir_fd=folder)


def _replace(name: str, data: bytes, folder: int) -> None:
    draft = _draft(name)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        try:
            os.fchmod(file, 0o600)
            with open(file, "wb", closefd=False) as out:
                out.write(data)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


def _contents(path: Path, folder: int) -> bytes | None:
    """None: there is none."""
    try:
        file = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:  # ELOOP, a socket, one that may not be read
        raise Unsuitable(f"{path}: what is there is no plain file of yours") from None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise Unsuitable(f"{path}: what is there is no plain file of yours")
        return os.read(file, _MOST)
    finally:
        os.close(file)


@contextmanager
def _folder(path: Path, *, make: bool) -> Iterator[int]:
    """The folder that holds it, entered step by step from the root. Raises Unsuitable, or FileNotFoundError."""
    here = os.open("/", _DIRECTORY)
    try:
        place = Path("/")
        for part in path.parent.parts[1:]:
            place /= part
            try:
                inner = _enter(part, here, place, make=make)
            except (FileNotFoundError, Unsuitable):
                raise
            except OSError as error:
                raise _trouble(path, error) from None
            os.close(here)
            here = inner
        _check(os.fstat(here), place, last=True)
        yield here
    finally:
        os.close(here)


def _enter(part: str, here: int, place: Path, *, make: bool) -> int:
    try:
        found = os.stat(part, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(part, 0o700, dir_fd=here)
        found = os.stat(part, dir_fd=here, follow_symlinks=False)
    link = stat.S_ISLNK(found.st_mode)
    if link and not (found.st_uid == 0 and place.parent == Path("/")):  # as /var is on macOS, the system's own
        raise Unsuitable(f"{place}: it is a link, and a token is put through none")
    inner = os.open(part, _DIRECTORY | (0 if link else os.O_NOFOLLOW), dir_fd=here)
    try:
        _check(os.fstat(inner), place, last=False)
    except BaseException:
        os.close(inner)
        raise
    return inner


def _check(found: os.stat_result, place: Path, *, last: bool) -> None:
    """Whoever can write the folder can put a file of their own in the place of ours; in a sticky one, not of ours."""
    ours = os.geteuid()
    trusted = {ours} if last else {ours, 0}
    own_group = found.st_uid == ours and found.st_gid == os.getegid() == ours  # a group of one's own (login.defs(5))
    writable = found.st_mode & (stat.S_IWOTH if own_group else stat.S_IWOTH | stat.S_IWGRP)
    if not last:
        writable &= 0 if found.st_mode & stat.S_ISVTX else ~0
        if found.st_uid not in trusted and not _is_nobodys(found):
            raise Unsuitable(f"{place}: the folder belongs to another user")
    elif found.st_uid not in trusted:
        raise Unsuitable(f"{place}: the folder is not yours")
    if writable:
        raise Unsuitable(f"{place}: others can write in that folder")


def _is_nobodys(found: os.stat_result) -> bool:
    """In a user namespace (the systemd unit's) root is nobody, user_namespaces(7); and so is everybody else: then only
    a folder that none but its owner can write is passed through.
    """
    try:
        whole = Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2] == "4294967295"
    except (OSError, IndexError):
        return False
    return not whole and not found.st_mode & (stat.S_IWOTH | stat.S_IWGRP)


def _trouble(path: Path, error: OSError) -> Unsuitable:
    reason = os.strerror(error.errno).lower() if error.errno else "it has no place"
    return Unsuitable(f"{path}: it cannot be written: {reason}")
