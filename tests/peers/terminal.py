"""A person's terminal: a command on a pseudo-terminal, what it shows, and what is typed at it."""

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Final, Self

PATIENCE: Final = 20.0  # seconds for anything that should appear at once

# In the child, before the command: a session of its own with this terminal as the controlling one, as a shell gives it.
_LOGIN: Final = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """Eighty columns wide. What was shown is in `shown`; wait for it with `until`."""

    def __init__(self, command: list[str], environ: Mapping[str, str], cwd: Path, *, lines: int = 24) -> None:
        self.shown = ""
        self._screen, inner = os.openpty()
        ioctl(inner, TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, *command],
            env={"TERM": "xterm-256color", **environ},
            cwd=cwd,
            stdin=inner,
            stdout=inner,
            stderr=inner,
        )
        os.close(inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def until(self, text: str) -> str:
        """What was shown since the last `until`, as soon as `text` is in it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert self._more(deadline), f"never shown: {text!r}; shown: {self.shown!r}"
        head, found, self.shown = self.shown.partition(text)
        return head + found

    def interrupt(self, text: str) -> str:
        """Ctrl-C, until `text` is shown: one that comes in the instant before Python reads is heard at the next key."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            self.type("\x03")
            soon = time.monotonic() + 2.0
            while text not in self.shown and self._more(soon):
                pass
            assert time.monotonic() < deadline, f"never shown: {text!r}; shown: {self.shown!r}"
        return self.until(text)

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def ended(self) -> int:
        """The exit status; what is left is in `shown`."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self._process.wait(PATIENCE)

    def _more(self, deadline: float) -> bool:
        """Whether anything more was shown before the deadline or the end."""
        ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # EIO: the last holder of the other side has gone
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
