"""Named places at which the process can be made to die, so that tests prove what survives there."""

import os
import signal
from typing import Final

VARIABLE: Final = "AIXTIVD_FAULT"
"""`after-commit`, or `after-commit:2` for the second time that place is reached."""


def point(name: str) -> None:
    """Ends this process with SIGKILL if the environment names this place; otherwise does nothing.

    Whoever can set the daemon's environment can end it anyway, so this opens no door. The count is kept in the
    environment itself: it is the only state, and there is none in ordinary life.
    """
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    if times.isdigit() and int(times) > 1:
        os.environ[VARIABLE] = f"{name}:{int(times) - 1}"
        return
    os.kill(os.getpid(), signal.SIGKILL)
