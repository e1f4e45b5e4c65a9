"""Programs that connect somewhere, and what becomes of them then: each is a real process that a test leads."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest

from peers.presence import command
from peers.waiting import until

PATIENCE: Final = 30.0

LED: Final = """
import os, socket, subprocess, sys
kept = []

def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.set_inheritable(True)
    kept.append(peer)

print("here", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
"""Does each line that it is told, and says when it is done."""


class Led:
    """`tool.py`, which does what `do` says; `process` is its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid: Final = process.pid
        self.hears("here")

    def do(self, *lines: str) -> Self:
        for line in lines:
            self.says(line)
            self.hears("done")
        return self

    def says(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hears(self, wanted: str = "") -> str:
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        assert not wanted or line == wanted, f"{line!r} instead of {wanted!r}"
        return line

    def ends(self) -> None:
        self.says("os._exit(0)")
        self.process.wait(PATIENCE)

    def becomes(self, *line: str | Path) -> None:
        """Runs another program from now on, in the same process."""
        self.says(f"os.execv({str(line[0])!r}, {[str(word) for word in line]!r})")
        wanted = b"".join(str(word).encode() + b"\0" for word in line)
        until(lambda: Path(f"/proc/{self.pid}/cmdline").read_bytes() == wanted, "it runs the other program")


@contextmanager
def led(folder: Path, name: str = "tool.py") -> Iterator[Led]:
    script = folder / name
    script.write_text(LED)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Led(process)
        finally:
            process.kill()


@contextmanager
def listening(folder: Path) -> Iterator[tuple[socket.socket, str]]:
    """A Unix socket, and its path."""
    path = folder / "s.sock"
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(path))
        here.listen()
        here.settimeout(PATIENCE)
        yield here, str(path)


def ran_apart(code: str, *, unshare: tuple[str, ...]) -> str:
    """What that Python code prints in namespaces of its own; skipped, with its word, where there are none to be had."""
    ran = subprocess.run(
        [command("unshare", package="util-linux"), "--user", "--map-root-user", *unshare, sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if ran.returncode and ran.stderr.startswith("unshare:"):
        pytest.skip(f"no such namespaces here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
