"""Reading a file that somebody else may have made: it can neither hold us up, nor end us, nor be obeyed if not ours."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import Final

import msgspec

from aixtiv.failures import AixtivError

LIMIT: Final = 1 << 20  # bytes; no settings file is longer
EVERYBODY: Final = 0o002
GROUP: Final = 0o020  # often the user's own
DEPTH: Final = 64  # objects and lists in one another; whoever walks them may do so by calling itself


class Misread(AixtivError):
    """a file of the person's is wrong"""

    code = "bad_settings"


def tree(path: Path, *, forbidden: int = EVERYBODY) -> object:
    """What a JSON file says. Raises Misread, and FileNotFoundError where there is none."""
    try:
        found: object = msgspec.json.decode(contents(path, forbidden=forbidden).removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise too_deep(path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misread(f"{path} is not JSON: {error}", hint=edit(path)) from None
    if is_deep(found):
        raise too_deep(path)
    return found


def contents(path: Path, *, forbidden: int = EVERYBODY) -> bytes:
    """Of a plain file of the person's or root's. A link is followed. `forbidden`: who must not have leave to write it.

    Raises Misread, and FileNotFoundError where there is none.
    """
    try:
        held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO opens without its writer
        try:
            _check(path, os.fstat(held), forbidden)
            with os.fdopen(held, "rb", closefd=False) as file:
                data = file.read(LIMIT + 1)
        finally:
            os.close(held)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(path)) from None
    except OSError as error:
        raise Misread(f"{path} cannot be read: {error.strerror}", hint=_look(path)) from None
    if len(data) > LIMIT:
        raise Misread(f"{path} is longer than such a file can be", hint=_look(path))
    return data


def _check(path: Path, found: os.stat_result, forbidden: int) -> None:
    """Whoever can write there says where credentials are sent."""
    if not stat.S_ISREG(found.st_mode):
        raise Misread(f"{path} is not a plain file", hint=_look(path))
    if found.st_uid not in (os.getuid(), 0):
        raise Misread(f"{path} belongs to another user", hint=_look(path))
    if found.st_mode & forbidden:
        sentence = f"{path} can be written by others (mode {found.st_mode & 0o777:04o})"
        raise Misread(sentence, hint=f"chmod go-w {quote(str(path))}")


def is_deep(found: object) -> bool:
    level: list[object] = [found]
    for _ in range(DEPTH):
        level = [below for each in level for below in _below(each)]
    return bool(level)


def _below(found: object) -> Iterable[object]:
    if isinstance(found, dict):
        return found.values()
    return found if isinstance(found, list) else ()


def too_deep(path: Path) -> Misread:
    return Misread(f"{path} is nested too deeply", hint=edit(path))


def edit(path: Path | str) -> str:
    return f"$EDITOR {quote(str(path))}"


def _look(path: Path) -> str:
    return f"ls -l {quote(str(path))}"
