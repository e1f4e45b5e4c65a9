"""What the process gives up at its start, so that its memory and files stay its own (D15)."""

import contextlib
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # <linux/prctl.h>
ENOUGH_FILES: Final = 8192
"""Descriptors: the cap on connections twice over, and what the daemon itself needs beside them."""


def harden() -> None:
    """No core file, no ptrace or /proc/PID/mem by the same uid (Linux), files only for us, descriptors enough."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    _raise_descriptors()
    if sys.platform == "linux":
        _not_dumpable()


def _not_dumpable() -> None:
    import ctypes  # noqa: PLC0415  # heavy: only where it is needed

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(ENOUGH_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS refuses above OPEN_MAX; then it stays as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
