"""aixtivd as it is, in a process that writes down all it can reach, texts and bytes and kinds of objects, when told to.

    INSPECTED=folder python -m peers.inspected [options of aixtivd]

Whoever connects to `folder/look` is told: whatever the collector knows, what that refers to, and what the frames of all
threads hold.
"""

import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtivd import app
from peers.machine import PATIENCE, Machine

_END: Final = b"\0kinds\0"


class Reached(Struct, frozen=True):
    contents: bytes  # of every text, bytes object and buffer
    kinds: frozenset[str]  # module and name of every object's type


class InspectedMachine(Machine):
    """Its daemon is this program."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._look = folder / "look"
        self.environ["INSPECTED"] = str(folder)
        self.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

    def spawn(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "peers.inspected", *arguments],
                env=self.environ | environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.daemon

    def reached(self) -> Reached:
        """What the daemon can reach now."""
        said = bytearray()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(str(self._look))
            while piece := peer.recv(1 << 20):
                said += piece
        contents, _, kinds = bytes(said).rpartition(_END)
        return Reached(contents, frozenset(kinds.decode().split("\n")))


def _objects() -> Iterator[object]:
    """Every object that can be reached. While this runs nothing else does: no thread is switched to."""
    seen = set[int]()
    found: list[object] = [*gc.get_objects(), *sys._current_frames().values()]
    while found:
        one = found.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            found += gc.get_referents(one)


def _written() -> bytes:
    contents, kinds = bytearray(), set[str]()
    for one in _objects():
        kind = type(one)
        kinds.add(f"{kind.__module__}.{kind.__qualname__}")
        if isinstance(one, str):
            contents += one.encode(errors="surrogatepass") + b"\n"
        elif isinstance(one, bytes | bytearray | memoryview) and one is not contents:
            contents += bytes(one) + b"\n"
    return bytes(contents) + _END + "\n".join(sorted(kinds)).encode()


def _tell(listening: socket.socket) -> None:
    usual = sys.getswitchinterval()
    while True:
        with listening.accept()[0] as peer:
            sys.setswitchinterval(600)  # seconds: the loop stands still meanwhile
            written = _written()
            sys.setswitchinterval(usual)
            peer.sendall(written)
            del written


if __name__ == "__main__":
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(Path(os.environ["INSPECTED"]) / "look"))
    listening.listen()
    threading.Thread(target=_tell, args=(listening,), daemon=True).start()
    sys.exit(app.run(sys.argv[1:], app._loop_factory()))
