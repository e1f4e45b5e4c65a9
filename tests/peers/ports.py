"""Ports of this machine."""

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """One that nobody listens at, for a test that has to say it beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def usual_port() -> Iterator[None]:
    """For a test that lets `aixtiv setup` choose: two at once, in two processes, would choose the same one."""
    with (Path(tempfile.gettempdir()) / "aixtiv-tests-usual-port").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
