"""Which of them looks after the daemon on this machine."""

import os
import sys

from aixtiv.service import launchd, systemd
from aixtiv.service.background import Background
from aixtiv.service.launchd import Launchd
from aixtiv.service.state import Manager
from aixtiv.service.systemd import Systemd


def manager() -> Manager:
    """Nothing is guessed: it is systemd's or launchd's where that answers, and else nobody's, with the reason why."""
    if os.environ.get("AIXTIV_SOCKET"):
        return Background(
            "AIXTIV_SOCKET names a socket of your own, and the service has its own", "unset AIXTIV_SOCKET"
        )
    if sys.platform == "darwin":
        why = launchd.unreachable()
        return Background(*why) if why else Launchd()
    why = systemd.unreachable()
    return Background(*why) if why else Systemd()
