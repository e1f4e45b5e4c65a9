"""The floors in C, compiled where there is a compiler, and the load that all servers get."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from bench.measuring import FRONT, on

SOURCES: Final = Path(__file__).parent / "floors"
PROGRAMS: Final = Path(__file__).parent / "programs"
PATIENCE: Final = 30.0  # seconds

Shape = Literal["frame", "http", "close", "events", "once"]


class Loaded(Struct, frozen=True):
    """What a load saw. `p50`, `p99`: microseconds."""

    answers: int
    bytes: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


class Floors:
    """`folder`: where the programs are put."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._compiler = shutil.which("gcc") or shutil.which("cc")

    @property
    def missing(self) -> str:
        """Why there are none; empty where there are."""
        return "" if self._compiler else "no C compiler is installed (apt install gcc libc6-dev)"

    def program(self, name: str) -> str:
        made = self.folder / name
        if not made.exists():
            assert self._compiler, self.missing
            subprocess.run([self._compiler, "-O2", "-o", made, SOURCES / f"{name}.c"], check=True)
        return str(made)

    def file(self, name: str, content: bytes) -> str:
        """What a program is to send, or to answer."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def load(
        self,
        target: str,
        request: str,
        shape: Shape,
        *,
        connections: int = 1,
        ms: int = 1000,
        count: int = 0,
        core: int = FRONT,
    ) -> Loaded:
        """`request`: a file. It ends after `ms`, or after `count` answers."""
        words = [self.program("load"), target, str(connections), str(ms), str(count), shape, request]
        with on(core):
            ran = subprocess.run(words, capture_output=True, timeout=PATIENCE + ms / 1000, check=False)
        if ran.returncode:
            raise RuntimeError(f"the load at {target}: {ran.stderr.decode(errors='replace')}")
        return msgspec.convert(json.loads(ran.stdout), Loaded)


class Server(Struct, frozen=True):
    said: str  # the line with which it was ready
    pid: int


@contextmanager
def serving(words: Sequence[str], core: int) -> Iterator[Server]:
    """A server for the length of the block, on that core."""
    with on(core):
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout
            line = process.stdout.readline().strip()
            if not line:
                raise RuntimeError(f"{' '.join(words)} did not start")
            yield Server(line, process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE)
