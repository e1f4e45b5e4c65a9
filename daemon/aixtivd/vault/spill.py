"""The spill slot: a small file reserved beforehand, which takes sealed rows when the store cannot be written (D6)."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aixtivd import log
from aixtivd.vault import folder
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import ID, BrokenSeal, Sealer

SIZE: Final = 256 * 1024
"""Bytes reserved. A grant is 2 to 8 KB sealed, and an account spills at most once between two writes of the store that
succeed (without its intent on disk no token is spent), so this is room for dozens of accounts."""

_TABLE: Final = "spill"
_LENGTH: Final = 4
_HEAD: Final = ID + 8  # id and generation, before the sealed payload
_NUMBER: Final = 8  # under the seal, before the payload


class Slot:
    """A log of sealed rows, appended to until it is emptied: [length | id | generation | sealed payload] …

    A torn or altered entry fails its seal and counts for nothing. Under the seal stands the number of the store's
    change that the row would have been part of, so that a slot's earlier content can be told when somebody puts it
    back. Used only on the store's thread.
    """

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self.path = path
        self.rows: dict[bytes, Row] = {}  # the newest row of each id
        self.damaged = 0
        self.replayed = 0  # rows that were absorbed and signed out long ago
        self.number = 0  # of the change that what is written next would have been part of
        self.admits: Callable[[Row, int], bool] = lambda _row, _number: True
        self._sealer = sealer
        self._held: int | None = None
        self._end = 0  # bytes in use
        self._reach = 0  # bytes in which something may stand: also what was torn, or written and never surely there
        self._unsure: dict[bytes, int] = {}  # generations that were written and not forced to the disk

    @property
    def used(self) -> bool:
        """Whether there is anything in it, of use or not."""
        return self._reach > 0

    def open(self) -> None:
        """Opens or reserves the file and reads what it holds. Does nothing if it is open. Raises OSError.

        Where another file stands in its place now, or none, what it held goes into that one: what is written into a
        file without a name is lost with the process.
        """
        if self._held is not None and self._is_named(self._held):
            return
        if not self.path.exists():
            reserve(self.path)
        held = folder.open_plain(self.path, os.O_RDWR)
        try:
            if (size := os.fstat(held).st_size) < SIZE:
                _fill(held, size)
            area = os.pread(held, SIZE, 0)
        except OSError:
            os.close(held)
            raise
        before, self._held, self._reach = self._held, held, len(area.rstrip(b"\0"))
        if before is None:
            self._read(area)
        else:
            self._take_over(before, held)

    def _is_named(self, held: int) -> bool:
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(held), there) and there.st_size >= SIZE

    def _take_over(self, before: int, held: int) -> None:
        """What is in memory is what counts: whatever somebody put there is written over."""
        log.error("spill-slot-replaced", path=str(self.path), rows=len(self.rows))
        self._end, self._unsure = 0, {}
        try:
            for row in list(self.rows.values()):
                self._append(row)
            if not os.path.samestat(os.fstat(before), os.fstat(held)):
                _write_all(before, bytes(SIZE), 0)
        finally:
            os.close(before)

    def _read(self, area: bytes) -> None:
        at = 0
        while length := int.from_bytes(area[at : at + _LENGTH], "big"):
            entry = area[at + _LENGTH : at + _LENGTH + length]
            at += _LENGTH + length
            if len(entry) < length:
                self.damaged += 1
                break
            if found := self._unsealed(entry):
                self._end = at  # the next entry goes behind the last good one
                self._admit(*found)
        if self._reach > at:  # entries behind a length that was lost
            self.damaged += 1
        if self.damaged:
            log.error("spill-slot-damaged", path=str(self.path), entries=self.damaged)

    def _unsealed(self, entry: bytes) -> tuple[Row, int] | None:
        id_, generation = entry[:ID], int.from_bytes(entry[ID:_HEAD], "big", signed=True)
        try:
            plain = self._sealer.unseal(_TABLE, id_, generation, entry[_HEAD:])
        except BrokenSeal:
            self.damaged += 1
            return None
        return Row(id_, generation, plain[_NUMBER:]), int.from_bytes(plain[:_NUMBER], "big")

    def _admit(self, row: Row, number: int) -> None:
        if self.admits(row, number):
            self._note(row)
        else:
            self.replayed += 1
            log.error("spilled-row-replayed", row=row.id.hex()[:8], slot=str(self.path))

    def _note(self, row: Row) -> None:
        known = self.rows.get(row.id)
        if known is None or row.generation > known.generation:
            self.rows[row.id] = row

    def write(self, row: Row) -> None:
        """Seals `row` and forces it to the disk. Raises OSError: it is not there."""
        self.open()
        self._append(row)

    def _append(self, row: Row) -> None:
        assert self._held is not None
        body = row.id + row.generation.to_bytes(8, "big", signed=True)
        plain = self.number.to_bytes(_NUMBER, "big") + row.payload
        body += self._sealer.seal(_TABLE, row.id, row.generation, plain)
        entry = len(body).to_bytes(_LENGTH, "big") + body
        if self._end + len(entry) > SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        left = max(0, self._reach - self._end - len(entry))  # of an entry that was begun here before
        self._unsure[row.id] = row.generation
        self._reach = max(self._reach, self._end + len(entry))
        _write_all(self._held, entry + bytes(left), self._end)
        folder.sync(self._held)
        self._end += len(entry)
        self._unsure.pop(row.id, None)
        self._note(row)

    def awaits(self, stored: Callable[[bytes], int]) -> bool:
        """Whether it may hold a row that it did not surely take, and that is nowhere else yet.

        `stored`: the generation of a record in the store.
        """
        return any(stored(id_) < generation for id_, generation in self._unsure.items())

    def clear(self) -> None:
        """Empties the slot, whose rows are in the store, to its last byte. Raises OSError: it may still hold them."""
        self.open()
        assert self._held is not None
        _write_all(self._held, bytes(SIZE), 0)
        folder.sync(self._held)
        self._end = self._reach = 0
        self.rows, self._unsure = {}, {}

    def follow(self, sealer: Sealer, number: int) -> None:
        """Another key from now on. The slot must be empty."""
        assert not self.used
        self._sealer, self.number = sealer, number

    def close(self) -> None:
        self.rows, self._unsure = {}, {}
        if self._held is not None:
            os.close(self._held)
            self._held = None


def holds_rows(path: Path) -> bool:
    """Whether there is a slot with something in it. Blocking. Raises OSError."""
    try:
        return any(folder.read_plain(path, _LENGTH))
    except FileNotFoundError:
        return False


def reserve(path: Path) -> None:
    """Makes the file with its whole space taken, so that writing into it needs none. Blocking. Raises OSError."""
    folder.write_whole(path, lambda held: _fill(held, 0))


def _fill(held: int, start: int) -> None:
    """Zeroes really written: on some file systems the first write into a mere reservation still needs new blocks."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(held, 0, SIZE)
    _write_all(held, bytes(SIZE - start), start)
    folder.sync(held)


def _write_all(held: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(held, data, at)
        data, at = data[written:], at + written
