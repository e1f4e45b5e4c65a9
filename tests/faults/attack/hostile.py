"""A hostile machine under the daemon: what hostile.c does to it, said from here by a file that both have mapped."""

import mmap
import shutil
import struct
import subprocess
import sys
import time
from enum import IntFlag
from pathlib import Path
from typing import Final

from msgspec import Struct

from peers.presence import command

_SOURCE: Final = Path(__file__).with_suffix(".c")
_SIZE: Final = 1 << 20  # of the mapped file, as hostile.c has it
_FIELDS: Final = (
    "wall",
    "steady",
    "awake",
    "ops",
    "after",
    "times",
    "error",
    "torn",
    "unreachable",
    "lookup",
    "seen",
    "hit",
    "looking",
    "tokens",
    "lookups",
    "died",
)
_FOLDER: Final = 8 * len(_FIELDS)
_SPARED: Final = _FOLDER + 256
_JOURNAL: Final = 4096
_ENTRY: Final = struct.Struct("=35sb4xqq8x")
_CHANGE: Final = struct.Struct("=qqq")  # from where, the file's size, how many bytes there were
_FILES: Final = ("store.db", "store.db-wal", "spill")  # in hostile.c's order

COMPILERS: Final = ("cc", "gcc", "clang")
DIE: Final = -1
ALWAYS: Final = -1


class Op(IntFlag):
    """Calls that can fail."""

    OPEN = 1
    WRITE = 2
    SYNC = 4
    TRUNCATE = 8
    ALLOCATE = 16
    UNLINK = 32
    RENAME = 64


EVERY: Final = Op(127)


def built(folder: Path) -> Path:
    """The library, compiled into `folder`. Ends the test where there is no C compiler."""
    library = folder / "hostile.so"
    compiler = command(*COMPILERS, package="gcc libc6-dev")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


class Presented(Struct, frozen=True):
    """A refresh token on its way to the server."""

    token: str
    at: float  # on the clock of `now`
    pid: int  # of the daemon


class Hostile:
    """What can be done to one daemon after the other, and what they were seen to do. Reset by `calm`."""

    def __init__(self, library: Path, folder: Path) -> None:
        path = folder / "hostile"
        path.write_bytes(bytes(_SIZE))
        self._undo: Final = [path.with_name(f"{path.name}.undo{which}") for which in range(len(_FILES))]
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), _SIZE)
        self.environ: Final = {"LD_PRELOAD": str(library), "AIXTIV_HOSTILE_MACHINE": str(path)}
        self.reached: Final[dict[str, float]] = {}  # refresh token -> time.monotonic() at which it was read in full
        self.presented: Final[set[Presented]] = set()

    def close(self) -> None:
        self._map.close()
        self._file.close()

    def get(self, field: str) -> int:
        (value,) = struct.unpack_from("=q", self._map, 8 * _FIELDS.index(field))
        return int(value)

    def put(self, field: str, value: int) -> None:
        struct.pack_into("=q", self._map, 8 * _FIELDS.index(field), value)

    def calm(self) -> None:
        """Disk and network are in order. The clocks stay where they are: time does not come back."""
        for field in ("ops", "times", "after", "error", "torn", "unreachable", "lookup"):
            self.put(field, 0)

    def disk(
        self,
        folder: Path,
        ops: Op,
        error: int,
        *,
        after: int = 0,
        times: int = ALWAYS,
        torn: bool = False,
        spare: Path | None = None,
    ) -> None:
        """Below `folder`, `after` such calls go well, and the next `times` do not. `error`: errno, or DIE.

        `torn`: a write is half done before it fails. `spare`: a file with which all is well.
        """
        self.put("ops", 0)
        for place, path in ((_FOLDER, folder), (_SPARED, spare or "")):
            name = str(path).encode()
            self._map[place : place + len(name) + 1] = name + b"\0"
        for field, value in (("after", after), ("times", times), ("error", error), ("torn", torn), ("hit", 0)):
            self.put(field, value)
        self.put("ops", ops)

    def jump(self, *, wall: float = 0.0, steady: float = 0.0, awake: float = 0.0) -> None:
        """Seconds by which the clocks are suddenly elsewhere. Wall and steady: the machine has slept; all three: the
        process was stopped.
        """
        self.put("awake", self.get("awake") + int(awake * 1e9))
        self.put("wall", self.get("wall") + int(wall * 1e9))
        self.put("steady", self.get("steady") + int(steady * 1e9))

    def look(self) -> None:
        """Takes down which refresh tokens have reached a daemon, or were presented by it, since the last look."""
        for slot in range(min(self.get("tokens"), (_SIZE - _JOURNAL) // _ENTRY.size)):
            token, presented, at, pid = _ENTRY.unpack_from(self._map, _JOURNAL + slot * _ENTRY.size)
            if token.startswith(b"\0"):
                continue
            if presented:
                self.presented.add(Presented(token.decode(), at / 1e9, pid))
            else:
                self.reached.setdefault(token.decode(), at / 1e9)

    def end(self, folder: Path, *, power: bool = False) -> None:
        """The daemon is dead. `power`: and the machine with it, so that whatever it had not synced is undone."""
        for name, undo in zip(_FILES, self._undo, strict=True):
            path = folder / name
            if power and path.exists():
                _put_back(path, undo.read_bytes())
            undo.write_bytes(b"")

    def death(self) -> float:
        """When the last daemon ended itself, on the clock of `now`; 0: it did not. Asked once."""
        died = self.get("died") / 1e9
        self.put("died", 0)
        return died

    def forget(self) -> None:
        """Makes room for what reaches the next daemon. None may run."""
        self.look()
        end = _JOURNAL + self.get("tokens") * _ENTRY.size
        self._map[_JOURNAL:end] = bytes(end - _JOURNAL)
        self.put("tokens", 0)


def _put_back(path: Path, undo: bytes) -> None:
    changes, at = [], 0
    while at + _CHANGE.size <= len(undo):
        start, size, length = _CHANGE.unpack_from(undo, at)
        at += _CHANGE.size + length
        changes.append((start, size, undo[at - length : at]))
    with path.open("r+b") as file:
        for start, size, before in reversed(changes):
            file.seek(start)
            file.write(before)
            file.truncate(size)


def here() -> str:
    """Why this machine cannot be made hostile; empty where it can."""
    if sys.platform != "linux":
        return "it takes Linux to make a machine hostile to one process"
    compiler = any(shutil.which(name) for name in COMPILERS)
    return "" if compiler else "there is no C compiler (Debian: apt install gcc libc6-dev)"


def now() -> float:
    """The clock on which `reached` is told."""
    return time.monotonic()
