"""Where the daemon's socket is, and whether its place may be trusted. Light: the fast lane uses it."""

import os
import sys

from aixtiv_protocol.where import SHORTER, closing, elsewhere, path_limit, socket_path

TYPE_CHECKING = False  # not typing's: see aixtiv/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

_KIND = 0o170000  # inode(7): the bits of st_mode that say what a file is; `stat` the module would cost an import
_FOLDER = 0o040000
_SOCKET = 0o140000
_OTHERS = 0o077


def socket() -> str:
    """The path of the daemon's socket in this environment."""
    return socket_path(os.environ, os.path.expanduser("~"), os.getuid(), sys.platform, os.path.isdir)


def distrust(path: str) -> tuple[str, str] | None:
    """Why nothing may be sent to the socket at `path`, a sentence, and the command that mends it; None if it may.

    Whoever can put a socket of theirs into that place would be asked for tokens, and told passphrases and pasted codes.
    Raises FileNotFoundError where there is no socket, OSError where that cannot be found out.
    """
    if len(os.fsencode(path)) > path_limit(sys.platform):
        return f"the socket's path is longer than a Unix socket's path can be: {path}", SHORTER
    folder = os.path.dirname(path) or "."
    return _distrust(folder, _FOLDER, "folder", os.stat(folder)) or _distrust(path, _SOCKET, "socket", os.lstat(path))


def _distrust(path: str, kind: int, word: str, found: os.stat_result) -> tuple[str, str] | None:
    if found.st_mode & _KIND != kind:
        return f"{path} is not a {word}", elsewhere(path, os.environ)
    if found.st_uid != os.getuid():
        return f"{path} belongs to another user", elsewhere(path, os.environ)
    if found.st_mode & _OTHERS:
        mode = found.st_mode
        return f"{path} is open to others (mode {mode & 0o777:04o})", closing(path, mode, os.environ)
    return None


def stranger(ask: "Callable[[int, int, int], bytes]") -> bool:
    """Whether the process behind a connected socket is another user's: its place may have changed since `distrust`.

    `ask` is the socket's getsockopt. Root is let pass: launchd, which is root's, holds the sockets it hands over.
    Linux: SO_PEERCRED, a struct ucred of pid, uid, gid. macOS: LOCAL_PEERCRED, a struct xucred of version, uid, ….
    """
    level, option, size = (0, 1, 76) if sys.platform == "darwin" else (1, 17, 12)
    uid = int.from_bytes(ask(level, option, size)[4:8], sys.byteorder)
    return uid not in (os.getuid(), 0)
