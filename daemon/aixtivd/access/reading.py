"""The audit log read page by page, from a place on and across its files, and on again where it ended."""

from typing import Final

import msgspec

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain
from aixtivd.access.logbook import Logbook
from aixtivd.access.note import clean

_PAGE: Final = 200  # records read at once


class Reading:
    """One reader's place. It holds no file open from one page to the next. All of it blocks, and raises OSError."""

    def __init__(self, book: Logbook, account: str) -> None:
        self._book = book
        self._needle = _needle(account)
        self._era = book.era
        self._first = 0  # of the file that is read: its first record
        self._offset = 0

    def look_back(self, wanted: int) -> None:
        """To where the newest so many begin; 0: to the beginning."""
        if not wanted:
            return
        for first, file in reversed(self._book.files().items()):
            self._first = first
            self._offset, wanted = file.start_of_last(wanted, self._needle, file.size())
            if not wanted:
                return

    def page(self) -> list[AuditRecord]:
        """The next records; empty: there are no more yet. What is no record is passed over: `verify` tells of it."""
        found: list[AuditRecord] = []
        if self._era != self._book.era:  # a new log was begun
            self._era, self._first, self._offset = self._book.era, 0, 0
        files = self._book.files()
        for first, file in files.items():
            if first < self._first:
                continue
            if first > self._first:  # the next one, or the one before was dropped meanwhile
                self._first, self._offset = first, 0
            stop = file.size()
            for end, line in file.placed(self._offset, stop):
                if end == stop and not line.endswith(b"\n"):  # it is being written
                    break
                self._offset = end
                if self._needle in line and (record := chain.record(line)):
                    found.append(record)
                    if len(found) == _PAGE:
                        return found
        return found


def _needle(account: str) -> bytes:
    """What stands in the lines of that account and in no others: a quote within a text has a backslash before it."""
    return b'"account":' + msgspec.json.encode(clean(account)) if account else b""
