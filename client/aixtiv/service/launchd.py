"""launchd: a LaunchAgent of ours. Written from launchctl(1) and launchd.plist(5), and not run on a Mac."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from aixtiv.failures import AixtivError
from aixtiv.service import laid, running, units
from aixtiv.service.background import tailed
from aixtiv.service.state import Done, State

_PATIENCE: Final = 60.0  # seconds; the job's ExitTimeOut is 50
LOG: Final = "aixtiv service logs"


def unreachable() -> tuple[str, str] | None:
    return None if shutil.which("launchctl") else ("launchctl is not on the PATH", "")


class Launchd:
    name = "launchd"

    def __init__(self) -> None:
        self._file: Final = units.launchd_file(Path.home())
        self._domain: Final = f"gui/{os.getuid()}"
        self._job: Final = f"{self._domain}/{units.LABEL}"

    def install(self, *, linger: bool, headless: bool) -> Done:
        if linger or headless:
            raise AixtivError("launchd has agents for people who are logged in: --linger and --headless are systemd's")
        before = self.state()
        changed = laid.lay(self._wanted())
        if before.running and not changed:
            return Done("the service is installed")
        (Path.home() / "Library/Caches/aixtiv").mkdir(mode=0o700, parents=True, exist_ok=True)
        if before.listening:
            self._bootout()
        running.end_stray()
        return Done("installed the service; it starts at login", self._started())

    def uninstall(self) -> Done:
        if not self._file.is_file():
            return Done("the service is not installed")
        laid.check_ours([self._file])
        if self._printed():
            self._bootout()
        laid.take_away([self._file])
        return Done("removed the service; any `aixtiv` starts the daemon in the background")

    def start(self) -> Done:
        before = self.state()
        if not before.installed:
            raise AixtivError("the service is not installed", hint="aixtiv service install")
        if before.running:
            return Done("the daemon runs already")
        if not before.listening:
            running.end_stray()
        return Done("started the daemon's service", self._started())

    def stop(self) -> Done:
        if self._printed():
            self._bootout()
        elif not running.end_stray():
            return Done("the daemon was not running")
        return Done("stopped; any `aixtiv` starts it again")

    def state(self) -> State:
        printed = self._printed()
        running_ = re.search(r"^\tstate = running$", printed, re.MULTILINE) is not None
        pid = re.search(r"^\tpid = (\d+)$", printed, re.MULTILINE)
        installed = self._file.is_file()
        return State(
            self.name,
            installed=installed,
            enabled=installed,  # whatever lies in that folder is loaded at login
            listening=bool(printed),
            running=running_,
            pid=int(pid[1]) if pid else 0,
            files=(str(self._file),) if installed else (),
            differs=tuple(str(path) for path in laid.differing(self._wanted())) if installed else (),
        )

    def log(self, *, lines: int, follow: bool) -> list[str]:
        return tailed(Path.home() / "Library/Logs/aixtivd.log", lines=lines, follow=follow)

    def _wanted(self) -> dict[Path, str]:
        return units.launchd(units.site(os.environ))

    def _started(self) -> tuple[tuple[str, str], ...]:
        if not self._printed():
            _told("bootstrap", self._domain, str(self._file))
        _told("kickstart", self._job)
        return running.locked(running.awaited(LOG))

    def _bootout(self) -> None:
        """launchctl returns before the job has ended, and until then it cannot be bootstrapped again."""
        _told("bootout", self._job)
        until = time.monotonic() + _PATIENCE
        while self._printed():
            if time.monotonic() > until:
                raise AixtivError(
                    "launchd does not get done with ending the service", hint=f"launchctl print {self._job}"
                )
            time.sleep(0.1)

    def _printed(self) -> str:
        """What launchd says of the job; empty where it is not loaded."""
        found = _run("print", self._job)
        return found.stdout if found.returncode == 0 else ""


def _told(*words: str) -> None:
    found = _run(*words)
    if found.returncode:
        said = " ".join(found.stderr.split("\n", 1)[0].split())
        raise AixtivError(f"launchctl {words[0]}: {said or f'exit {found.returncode}'}", hint=LOG)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["launchctl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except OSError as error:
        raise AixtivError(f"launchctl cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise AixtivError(f"launchctl does not get done within {_PATIENCE:.0f} seconds") from None
