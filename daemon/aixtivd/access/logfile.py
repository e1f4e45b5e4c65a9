"""One file of the audit log: appended to, read in pieces from either end, and never rewritten. All of it blocks."""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aixtivd.host.faults import point
from aixtivd.vault import folder

_BLOCK: Final = 64 * 1024
LONGEST: Final = 16 * 1024
"""Bytes of a line at most: every text of a record is cut far below."""

_FAR: Final = 64 * 1024 * 1024
"""Bytes at the end in which something of ours has to be found: more than is ever written in one piece. What is longer
is nothing of ours, and no search in it may hold up a start or a stop."""


class LogFile:
    """`later`: the name that it gets when the next file begins, maybe while it is read. None: it keeps its own."""

    def __init__(self, path: Path, later: Path | None = None) -> None:
        self.path = path
        self._later = later
        self._left: tuple[int, bytes] | None = None  # where a write failed, and what may stand there of it
        self._unsettled = False  # its name is not durable yet

    def append(self, data: bytes) -> int:
        """Durable when it returns: the file's size before. Raises OSError, and then nothing is there."""
        self._unsettled |= not self.path.exists()
        held = os.open(
            self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600
        )
        try:
            before = self._cut_back(held)
            try:
                _write_all(held, data)
                folder.sync(held)
                if self._unsettled:
                    settle(self.path.parent)
            except OSError:
                self._left = (before, data)
                with suppress(OSError):  # the next one tries it again
                    self._cut_back(held)
                raise
        finally:
            os.close(held)
        self._unsettled = False
        point("audit-written")
        return before

    def _cut_back(self, held: int) -> int:
        """Its size, less what a write that failed has left there. Raises OSError."""
        size, left = _ours(held), self._left
        if left is not None:
            before, data = left
            if size > before and data.startswith(os.pread(held, size - before, before)):
                os.ftruncate(held, before)
                size = before
            self._left = None
        return size

    def size(self) -> int:
        """0 where there is no file. Raises OSError."""
        with self._open() as held:
            return 0 if held is None else os.fstat(held).st_size

    def cut_torn(self) -> int:
        """Takes away a last line that has no end: a write was cut by a crash. Its bytes. Raises OSError."""
        with self._open(os.O_RDWR) as held:
            if held is None or not (size := os.fstat(held).st_size):
                return 0
            whole = _end_of_line(held, size)
            if whole is None:  # nothing that we wrote and a crash cut: it stays, as a broken line
                os.pwrite(held, b"\n", size)
                folder.sync(held)
                return 0
            if whole < size:
                os.ftruncate(held, whole)
                folder.sync(held)
            return size - whole

    def last_line(self) -> bytes:
        """Empty where there is none."""
        size = self.size()
        start, _ = self.start_of_last(1, b"", size, far=_FAR)
        return next(self.lines(start, size), b"")

    def lines(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """As `placed`, without the places."""
        for _, line in self.placed(start, stop):
            yield line

    def placed(self, start: int, stop: int) -> Generator[tuple[int, bytes], None, None]:
        """The lines between two places in the file, each with its newline and where it ends; of an endless one its
        beginning, and then nothings. Raises OSError.
        """
        with self._open() as held:
            if held is None:
                return
            with os.fdopen(os.dup(held), "rb", buffering=_BLOCK) as file:
                file.seek(start)
                inside = False  # of an endless line
                while start < stop and (line := file.readline(min(LONGEST, stop - start))):
                    start += len(line)
                    yield start, b"" if inside else line
                    inside = not line.endswith(b"\n")

    def start_of_last(self, wanted: int, needle: bytes, stop: int, far: int = 0) -> tuple[int, int]:
        """Where the last `wanted` lines begin that hold `needle`, looking back from `stop`, and how many of them are
        not there. Raises OSError.

        `far`: how many bytes at most; 0: to the beginning.
        """
        with self._open() as held:
            if held is None:
                return 0, wanted
            end = max(0, stop - far) if far else 0
            at, rest, first = stop, b"", stop
            while at > end and wanted > 0:
                size = min(_BLOCK, at - end)
                at -= size
                known = _placed(os.pread(held, size, at), at, rest)
                rest = known.pop(0)[1][: LONGEST + 1] if at else b""  # what is longer is no line, and is dropped
                for start, line in reversed(known):
                    if line and needle in line and len(line) <= LONGEST:
                        first, wanted = start, wanted - 1
                        if not wanted:
                            break
            return (first, 0) if not wanted else (end, wanted)

    @contextmanager
    def _open(self, how: int = os.O_RDONLY) -> Iterator[int | None]:
        """None: it is not there."""
        held = _open(self.path, how) if self._later is None else self._either(self.path, self._later, how)
        try:
            yield held
        finally:
            if held is not None:
                os.close(held)

    def _either(self, path: Path, later: Path, how: int) -> int | None:
        """By the name that it has at this moment: it is renamed once, and never back while a daemon runs."""
        while True:
            if (held := _open(later, how)) is not None:
                return held
            held = _open(path, how)
            if not os.path.lexists(later):
                return held
            if held is not None:  # the next one, already
                os.close(held)


def settle(parent: Path) -> None:
    """Makes names in that folder durable. Raises OSError."""
    held = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _open(path: Path, how: int) -> int | None:
    try:
        return folder.open_plain(path, how)
    except FileNotFoundError:
        return None


def _ours(held: int) -> int:
    """Its size. One that others may read is closed to them. Raises OSError: it is not a plain file of ours."""
    found = os.fstat(held)
    if not stat.S_ISREG(found.st_mode):
        raise folder.NotPlain
    if found.st_uid != os.geteuid():
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    if found.st_mode & 0o077:
        os.fchmod(held, 0o600)
    return found.st_size


def _write_all(held: int, data: bytes) -> None:
    """In two steps, so that a test can die between them."""
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        left = memoryview(part)
        while left:
            left = left[os.write(held, left) :]
        point("audit-half-written")


def _end_of_line(held: int, size: int) -> int | None:
    """Where the last whole line ends. None: nowhere near the end."""
    at, end = size, max(0, size - _FAR)
    while at > end:
        begin = max(end, at - _BLOCK)
        found = os.pread(held, at - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return None if end else 0


def _placed(block: bytes, at: int, rest: bytes) -> list[tuple[int, bytes]]:
    """The lines of a block at that place, each with its own; the last one goes on with `rest`."""
    parts = block.split(b"\n")
    places = [at]
    for part in parts[:-1]:
        places.append(places[-1] + len(part) + 1)
    parts[-1] += rest
    return list(zip(places, parts, strict=True))
