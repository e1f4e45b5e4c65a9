"""Where no service manager can be asked: a daemon in the background, and its log beside the store."""

from pathlib import Path

import platformdirs

from aixtiv import place, show, start
from aixtiv.failures import AixtivError
from aixtiv.service import laid, running
from aixtiv.service.state import Done, State


class Background:
    """`why` no manager can be asked, and the command that may change that."""

    name = ""

    def __init__(self, why: str, hint: str = "") -> None:
        self._why = why
        self._hint = hint

    def install(self, *, linger: bool, headless: bool) -> Done:  # noqa: ARG002  # nothing there is to install
        raise AixtivError(
            f"no service can be installed here: {self._why}; any `aixtiv` starts the daemon in the background",
            hint=self._hint or "aixtiv service start",
        )

    def uninstall(self) -> Done:
        if laid.remembered().folders or start.unit():
            raise AixtivError(f"the service is installed, and its manager cannot be told: {self._why}", hint=self._hint)
        return Done("the service is not installed")

    def start(self) -> Done:
        if running.answering():
            return Done("the daemon runs already")
        said: list[str] = []
        start.start(place.socket(), said.append, alone=True)
        status = running.awaited(f"cat {_log()}")
        return Done(said[-1] if said else "started the daemon", running.locked(status))

    def stop(self) -> Done:
        ended = running.end_stray()
        return Done("stopped; any `aixtiv` starts it again" if ended else "the daemon was not running")

    def state(self) -> State:
        status = running.answering()
        return State(
            "",
            installed=start.unit() is not None,
            running=status is not None,
            pid=status.pid if status else 0,
            since=status.started_at if status else 0,
            problem=self._why,
        )

    def log(self, *, lines: int, follow: bool) -> list[str]:
        return tailed(_log(), lines=lines, follow=follow)


def tailed(log: Path, *, lines: int, follow: bool) -> list[str]:
    """The command for a log that is a file. Raises AixtivError where there is none yet."""
    if not log.is_file():
        raise AixtivError(f"there is no {show.short(str(log))} yet", hint="aixtiv service status")
    return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]


def _log() -> Path:
    return Path(platformdirs.user_state_dir("aixtiv")) / "aixtivd.log"
