"""The audit log's files: the one that is written, and the older ones beside it, each named after its first record.

`audit.log` becomes `audit.log.from-0000048212` when the next one begins, and keeps that name until it is dropped, so
that no file is ever renamed twice and a crash leaves nothing half done. All of it blocks.
"""

import itertools
import os
import re
from pathlib import Path

from aixtivd import log
from aixtivd.access.logfile import LogFile, settle
from aixtivd.vault import folder as folders


class Shelf:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.current = LogFile(path)
        self._older = re.compile(re.escape(f"{path.name}.from-") + r"([0-9]{10,18})")

    def place(self, first: int) -> Path:
        """Where the file that begins with that record stands, once the next one has begun."""
        return self.path.with_name(f"{self.path.name}.from-{first:010}")

    def older(self, first: int) -> LogFile:
        return LogFile(self.place(first))

    def last(self, first: int) -> LogFile:
        """The one that is written, found also by who goes on reading it when it has got its name."""
        return LogFile(self.path, self.place(first))

    def firsts(self) -> list[int]:
        """The first records of the older files there are, by their names: only those that we give. Raises OSError."""
        try:
            names = os.listdir(self.path.parent)  # noqa: PTH208  # half the time of paths
        except FileNotFoundError:
            return []
        found = ((int(match[1]), name) for name in names if (match := self._older.fullmatch(name)))
        return sorted(first for first, name in found if first and self.place(first).name == name)

    def begin_next(self, first: int) -> str:
        """Gives the file that is written its name, durably: the next line begins another one.

        What stands there is nothing of ours and is put aside: its new name; empty: nothing stood there. Raises OSError.
        """
        place, aside = self.place(first), ""
        if os.path.lexists(place):
            aside = _free(place, "foreign").name
            place.rename(place.with_name(aside))
        self.path.rename(place)
        settle(self.path.parent)
        return aside

    def keep_altered(self, first: int) -> str:
        """Gives an older file, if it is there, a name under which it is not dropped, since it tells of an attack."""
        place = self.place(first)
        if not os.path.lexists(place):
            return ""
        aside = _free(place, "altered")
        place.rename(aside)
        return aside.name

    def sweep(self, first: int) -> None:
        """Removes the files that begin before that record: they were dropped. Raises nothing, and says if it cannot."""
        try:
            firsts = self.firsts()
        except OSError as error:
            log.error("audit-not-dropped", reason=folders.reason(error))
            return
        for one in firsts:
            if one < first:
                self._drop(self.place(one))

    def _drop(self, place: Path) -> None:
        try:
            place.unlink()
        except OSError as error:
            log.error("audit-not-dropped", file=place.name, reason=folders.reason(error))

    def put_aside(self, word: str) -> Path | None:
        """Gives the whole log another name, that nothing has. None: there is none. Raises OSError."""
        older = self.firsts()
        if not older and not os.path.lexists(self.path):
            return None
        aside = _free(self.path, word)
        for one in older:
            place = self.place(one)
            place.rename(place.with_name(place.name.replace(self.path.name, aside.name, 1)))
        if os.path.lexists(self.path):
            self.path.rename(aside)
        settle(self.path.parent)
        return aside


def _free(path: Path, word: str) -> Path:
    """A name behind which nothing else stands."""
    taken = os.listdir(path.parent)  # noqa: PTH208  # as above
    words = itertools.chain([word], (f"{word}-{number}" for number in itertools.count(2)))
    names = (f"{path.name}.{one}" for one in words)
    return path.with_name(next(n for n in names if not any(f"{one}.".startswith(f"{n}.") for one in taken)))
