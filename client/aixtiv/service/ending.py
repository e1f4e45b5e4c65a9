"""A daemon that was asked to end, until it has."""

import contextlib
import os
import select
import time
from typing import Final

from aixtiv.failures import AixtivError

PATIENCE: Final = 45.0  # seconds; the daemon lets open refreshes finish, each of which has 30


def see_off(pid: int) -> None:
    """Returns when the process has ended, so that what is typed next finds the store closed."""
    with contextlib.suppress(ProcessLookupError):
        if not (_by_pidfd(pid) if hasattr(os, "pidfd_open") else _by_asking(pid)):
            raise AixtivError(f"the daemon is still finishing after {PATIENCE:.0f} seconds", hint=f"kill {pid}")


def _by_pidfd(pid: int) -> bool:
    """Whether it ended in time. Linux; a pidfd tells even of a process that nobody has waited for yet."""
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], PATIENCE)[0])
    finally:
        os.close(fd)


def _by_asking(pid: int) -> bool:
    """The same where nothing announces the end. Raises ProcessLookupError when it has come."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        os.kill(pid, 0)
        time.sleep(0.02)
    return False
