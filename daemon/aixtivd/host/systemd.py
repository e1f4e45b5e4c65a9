"""What systemd tells a service and wants to be told: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)."""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

import anyio

from aixtivd import log

FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
MOST_FDS: Final = 64  # far above what any unit of ours passes: a wrong number must not make us close half the world
MOST_NAMED: Final = 4096
"""Where each has a name, which no wrong number has: a daemon leaves the next one a port for each of its tickets."""

_WORDS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def handed_over(environ: MutableMapping[str, str], pid: int) -> tuple[tuple[str, int], ...]:
    """Names and numbers of the sockets passed to the process `pid`.

    The variables are taken out of `environ`, so that no child believes it was activated, too.
    """
    wanted = environ.pop("LISTEN_PID", "")
    number = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    if wanted != str(pid) or not number.isdecimal():
        return ()
    if not 0 < int(number) <= (MOST_NAMED if len(names) == int(number) else MOST_FDS):
        return ()
    fds = range(FIRST_FD, FIRST_FD + int(number))
    for fd in fds:
        os.set_inheritable(fd, False)  # noqa: FBT003  # the function takes it so
    names += [""] * (len(fds) - len(names))
    return tuple(zip(names, fds, strict=False))


class Notifier:
    """Tells the service manager how we are. Without one, every word goes nowhere."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        """Takes the variables out of `environ`: no child of ours speaks for us. The next daemon gets `words` back."""
        self.words = {name: environ.pop(name) for name in _WORDS if name in environ}
        self._to = self.words.get("NOTIFY_SOCKET", "")
        usec = self.words.get("WATCHDOG_USEC", "")
        watched = self.words.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.watchdog = int(usec) / 1_000_000 if usec.isdecimal() and watched else 0.0
        """Seconds within which the watchdog must be fed; 0: there is none."""

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._tell(f"STATUS={status}")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    async def feed(self) -> None:
        """From the loop, so that a loop that stands still is noticed."""
        while True:
            self.alive()
            await anyio.sleep(self.watchdog / 2)

    def stopping(self, within: float) -> None:
        """`within`: seconds of time we ask for to finish what is open."""
        self._tell(f"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={int(within * 1_000_000)}")

    def _tell(self, words: str) -> None:
        if not self._to.startswith(("/", "@")):
            return
        address = "\0" + self._to[1:] if self._to.startswith("@") else self._to
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(0)  # a manager that does not listen must not hold up the loop
                channel.sendto(words.encode(), address)
        except OSError as error:
            log.warning("manager-unreachable", errno=error.errno or 0)
