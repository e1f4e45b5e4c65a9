"""What this process costs the machine, as the kernel says."""

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

_SELF: Final = Path("/proc/self")


class Costs(Struct, frozen=True, kw_only=True):
    cpu: float  # seconds, in user and system mode
    memory: int = 0  # resident, in bytes; 0: not known here (macOS)
    descriptors: int = 0  # open; 0: not known here (macOS)
    most_descriptors: int  # that may be open


def costs() -> Costs:
    """Blocking: it reads files of /proc."""
    times = os.times()
    memory = descriptors = 0
    with suppress(OSError, ValueError, IndexError):
        memory = int((_SELF / "statm").read_text().split()[1]) * resource.getpagesize()
        descriptors = sum(1 for _ in (_SELF / "fd").iterdir()) - 1  # that of the listing itself
    return Costs(
        cpu=times.user + times.system,
        memory=memory,
        descriptors=descriptors,
        most_descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
