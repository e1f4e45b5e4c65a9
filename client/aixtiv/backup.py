"""A backup's file: written whole and for its owner alone, read within bounds."""

import contextlib
import errno
import itertools
import os
import secrets
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aixtiv.failures import AixtivError, Usage

MAGIC: Final = b"aixtiv backup "
MOST: Final = 64 * 1024 * 1024  # bytes, as the daemon has it


class Unusable(AixtivError):
    """the backup's file cannot be used"""

    code = "bad_backup"


def named(word: str, command: str) -> Path:
    """The file that was meant. Raises Usage for what names none."""
    if word in {"", "-"}:
        raise Usage("a backup is a file, and that names none", hint=f"aixtiv {command} accounts.backup")
    return Path(word)


def check_place(path: Path) -> None:
    """Before anybody types a passphrase. Raises Unusable where a backup could not be written, or would replace one."""
    if path.is_dir():
        raise Unusable(f"{path} is a folder: name a file in it", hint=_export(path / "accounts.backup"))
    if os.path.lexists(path):
        raise Unusable(f"{path} is there already, and may be a backup that is wanted", hint=_export(_free(path)))
    if not path.absolute().parent.is_dir():
        raise Unusable(f"there is no folder {path.absolute().parent}")


def _free(path: Path) -> Path:
    others = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(other for other in others if not os.path.lexists(other))


def _export(path: Path) -> str:
    return f"aixtiv export {_quoted(path)}"


def write(path: Path, pieces: Iterable[bytes]) -> int:
    """The whole backup, durable and 0600, or no file at all; what is there is never replaced. Its size in bytes."""
    half_made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        held = os.open(half_made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(held, "wb") as file:
                size = sum(file.write(piece) for piece in pieces)
                file.flush()
                os.fsync(held)
            _name(half_made, path)
        finally:
            half_made.unlink(missing_ok=True)
        _settle(path.absolute().parent)
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {_reason(error)}", hint=f"df -h {_quoted(path.parent)}") from None
    return size


def _name(half_made: Path, path: Path) -> None:
    """A link cannot replace what came meanwhile; where a file system has none (a memory stick), a rename must do."""
    try:
        path.hardlink_to(half_made)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        half_made.rename(path)


def _settle(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems do not let a folder be synced, and do it by themselves
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def read(path: Path) -> bytes:
    """Raises Unusable for what is no backup, before anybody types a passphrase."""
    if path.is_dir():
        raise Unusable(f"{path} is a folder, and a backup is a file", hint=_look(path))
    try:
        held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO opens without its writer
        with os.fdopen(held, "rb") as file:
            if not stat.S_ISREG(os.fstat(held).st_mode):
                raise Unusable(f"{path} is not a plain file", hint=_look(path))
            data = file.read(MOST + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {_reason(error)}", hint=_look(path)) from None
    if len(data) > MOST:
        raise Unusable(f"{path} is larger than a backup can be", hint=_look(path))
    if not data.startswith(MAGIC):
        raise Unusable(f"{path} is not a backup that aixtiv made", hint=f"file {_quoted(path)}")
    return data


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "it is gone"


def _look(path: Path) -> str:
    return f"ls -l {_quoted(path)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
