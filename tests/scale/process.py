"""What a process costs, as the kernel counts it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Final

_TESTS: Final = Path(__file__).parents[1]


def memory(pid: int) -> tuple[float, float]:
    """MiB now, and at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.strip()}
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


def seconds(pid: int) -> float:
    """Of processor time, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """Open ones; -1 where we may not look (a process that cannot be dumped is root's to look into)."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except PermissionError:
        return -1


@contextmanager
def running(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`python -m MODULE ARGUMENTS` while the block runs; its stdin and stdout are pipes."""
    words = [sys.executable, "-m", module, *arguments]
    environ = os.environ | {"PYTHONPATH": str(_TESTS)}
    with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(SIGTERM)
            process.wait()
