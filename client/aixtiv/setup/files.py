"""Reading and writing files that are the person's own: whole or not at all, and never through a link."""

import contextlib
import os
import shlex
import stat
import tempfile
from pathlib import Path
from typing import Final

from aixtiv.failures import AixtivError
from aixtiv.show import short

LIMIT: Final = 8 << 20  # bytes; no settings file is longer


class Unfit(AixtivError):
    """a file is not one that can be changed safely"""

    code = "unfit_file"


def contents(path: Path) -> bytes | None:
    """Its bytes; None: it is not there. Raises Unfit for a link, another user's, or what is no plain file."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "is a link, and may lead elsewhere" if path.is_symlink() else f"cannot be read: {_reason(error)}"
        raise _unfit(path, why) from None
    try:
        found = os.fstat(held)
        if not stat.S_ISREG(found.st_mode):
            raise _unfit(path, "is not a plain file")
        if found.st_uid != os.geteuid():
            raise _unfit(path, f"belongs to another user (uid {found.st_uid})")
        with os.fdopen(held, "rb", closefd=False) as file:
            data = file.read(LIMIT + 1)
    finally:
        os.close(held)
    if len(data) > LIMIT:
        raise _unfit(path, "is longer than such a file can be")
    return data


def read(path: Path) -> str:
    """Its text. Raises Unfit."""
    return text(path, contents(path) or b"")


def text(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _unfit(path, "is not UTF-8") from None


def write(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Puts `data` there in one step: whoever reads sees all of the old file or all of the new one, also after a crash.

    `mode`: of a new file, or to be set; None: as the old one's, else 0600. Folders that are missing are made, 0700.
    """
    contents_mode = _mode(path)
    try:
        for folder in reversed(missing(path)):
            folder.mkdir(mode=0o700, exist_ok=True)  # one by one: with `parents`, the mode is the last one's only
        held, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(held, "wb") as file:
                os.fchmod(held, contents_mode if mode is None else mode)
                file.write(data)
                file.flush()
                os.fsync(held)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(path.parent)
    except OSError as error:
        raise _unfit(path, f"cannot be written: {_reason(error)}") from None


def remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync(path.parent)
    except OSError as error:
        raise _unfit(path, f"cannot be removed: {_reason(error)}") from None


def missing(path: Path) -> list[Path]:
    """Folders that writing `path` would make, the innermost first."""
    found = []
    for folder in path.parents:
        if folder.exists():
            break
        found.append(folder)
    return found


def remove_empty(folders: list[Path]) -> None:
    """Those of them in which nothing has been put meanwhile, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _mode(path: Path) -> int:
    """Raises Unfit where the file that is there may not be replaced."""
    contents(path)
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _unfit(path: Path, sentence: str) -> Unfit:
    return Unfit(f"{short(str(path))} {sentence}", hint=f"ls -l {shlex.quote(str(path))}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
