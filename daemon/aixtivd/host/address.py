"""The socket's place in the file system: checked, claimed, given up, and never taken from somebody who lives there."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from aixtiv_protocol.where import SHORTER, closing, elsewhere, path_limit
from aixtivd.errors import SocketFailed

BACKLOG = 512  # connections the kernel holds while we are busy; it caps this at net.core.somaxconn


class Address(Struct, frozen=True):
    """A listening socket and where it is."""

    socket: socket.socket
    path: Path
    inode: tuple[int, int] | None  # device and number of what we bound ourselves; None: it is the service manager's

    def give_up(self) -> None:
        """Closes, and removes the path if we made it and it is still ours. Blocks for moments."""
        if self.inode is not None:
            with contextlib.suppress(FileNotFoundError):
                if _inode(self.path) == self.inode:
                    self.path.unlink()
        self.socket.close()


def claim(path: Path) -> Address:
    """Binds `path`: folder 0700, socket 0600. Blocks for moments. Raises SocketFailed with what is in the way."""
    limit = path_limit(sys.platform)
    if len(os.fsencode(path)) > limit:
        raise SocketFailed(
            f"the socket's path is longer than the {limit} bytes a socket path can have: {path}",
            hint=SHORTER,
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_folder(path.parent)
        with _alone_in(path.parent):
            _make_way(path)
            return _bind(path)
    except OSError as error:
        raise SocketFailed(f"the socket {path} cannot be made: {error.strerror}", hint=_elsewhere(path)) from None


def taken_over(listening: socket.socket, made: tuple[int, int] | None = None) -> Address:
    """A socket that is listened on already. Raises SocketFailed where it is not what it must be.

    `made`: device and number of its path, where a daemon made it: then it is ours to remove. None: the manager's.
    """
    if listening.family != socket.AF_UNIX or listening.type != socket.SOCK_STREAM:
        raise SocketFailed("the service manager handed over something that is not a Unix stream socket")
    path = Path(os.fsdecode(listening.getsockname()))
    check_folder(path.parent)
    _check_socket(path)
    return Address(socket=listening, path=path, inode=made)


def check_folder(folder: Path) -> None:
    """Ours and 0700. A link counts only if it is ours and leads to such a folder."""
    try:
        link, found = folder.lstat(), folder.stat()
    except OSError as error:
        why = f"the socket's folder {folder} cannot be used: {error.strerror}"
        raise SocketFailed(why, hint=_elsewhere(folder)) from None
    if not stat.S_ISDIR(found.st_mode):
        raise SocketFailed(f"the socket's folder {folder} is not a folder", hint=_elsewhere(folder))
    if link.st_uid != os.geteuid() or found.st_uid != os.geteuid():
        raise SocketFailed(f"the socket's folder {folder} belongs to another user", hint=_elsewhere(folder))
    if found.st_mode & 0o077:
        hint = closing(str(folder), found.st_mode, os.environ)
        raise SocketFailed(f"the socket's folder {folder} is open to other users", hint=hint)


def _elsewhere(path: Path) -> str:
    return elsewhere(str(path), os.environ)


def _check_socket(path: Path) -> None:
    try:
        found = path.lstat()
    except OSError as error:
        raise SocketFailed(f"the socket {path} cannot be used: {error.strerror}", hint=_elsewhere(path)) from None
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketFailed(f"{path} is not a socket", hint=_elsewhere(path))
    if found.st_uid != os.geteuid():
        raise SocketFailed(f"the socket {path} belongs to another user", hint=_elsewhere(path))
    if found.st_mode & 0o077:
        raise SocketFailed(f"the socket {path} is open to other users", hint=f"chmod 600 {path}")


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two daemons that start at once go through one after the other: the second then finds the first listening."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)  # and with it the lock


def _make_way(path: Path) -> None:
    """Removes what a dead daemon left behind, and nothing else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketFailed(f"{path} is in the way: it is not a socket", hint=_elsewhere(path))
    if found.st_uid != os.geteuid():
        raise SocketFailed(f"{path} is in the way: it belongs to another user", hint=_elsewhere(path))
    if _somebody_listens(path):
        raise SocketFailed(f"another daemon listens at {path} already", hint="aixtiv status")
    path.unlink(missing_ok=True)


def _somebody_listens(path: Path) -> bool:
    """Only a refused connection proves that nobody does; a full queue (EAGAIN) or anything else is somebody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        return probe.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


def _bind(path: Path) -> Address:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
        inode = _inode(path)
        _check_socket(path)
        listening.listen(BACKLOG)  # within the lock: from here on a probe is answered
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    return Address(socket=listening, path=path, inode=inode)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
