"""Starting the daemon where it does not run: through the service manager if it has our unit, else in the background."""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import platformdirs

from aixtiv import show
from aixtiv.connection import Connection
from aixtiv.failures import AixtivError, NoDaemon

PATIENCE: Final = 5.0  # seconds until the socket must answer
LOG_LIMIT: Final = 1 << 20  # bytes, beyond which the log is begun anew and the old one kept once
UNIT: Final = "aixtivd.service"
LABEL: Final = "io.github.aixtiv.aixtivd"
_LOGS: Final = "aixtiv service logs"
_NO_BUS: Final = re.compile("connect to (user scope )?bus")  # in the words of systemd until 255, and since

# Everything else stays behind: a shell's environment is full of secrets, and the daemon needs none of it.
_KEPT = {"HOME", "PATH", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS", "AIXTIV_SOCKET"}
_KEPT_PREFIXES = ("XDG_", "LC_")

STARTED: Final = {"AIXTIV_STARTED_BY": "command"}
"""Tells the daemon that it may end when it is idle: the next command starts it again (aixtivd.ipc.quiet)."""


def start(path: str, say: Callable[[str], None], *, alone: bool = False) -> None:
    """Returns when the socket at `path` answers. Raises NoDaemon with the daemon's own sentence where there is one.

    `alone`: the service manager is not asked.
    """
    state = Path(platformdirs.user_state_dir("aixtiv"))
    try:
        _start(path, state, say, time.monotonic() + PATIENCE, alone=alone)
    except OSError as error:
        where = error.filename or state
        raise NoDaemon(
            f"the daemon cannot be started: {where}: {error.strerror or error}", hint=_with("ls -ld", where)
        ) from None


def _start(path: str, state: Path, say: Callable[[str], None], until: float, *, alone: bool) -> None:
    _make_private(state)
    with _only_one(state / "start.lock", until):
        if _answers(path):  # another command was faster
            return
        if not alone and _by_service_manager():
            while not _answers(path):
                if time.monotonic() > until:
                    raise _unanswered()
                time.sleep(0.02)
            say("started the daemon's service")
        else:
            log = state / "aixtivd.log"
            _in_background(path, log, until)
            say(f"started the daemon (its log is {show.short(str(log))})")


def _with(command: str, path: object) -> str:
    """A hint: the command and the path it is about, as they can be typed."""
    return f"{command} {shlex.quote(str(path))}"


def how() -> str:
    """The command that starts the daemon by hand."""
    return "aixtiv service start"  # not `aixtivd`, which occupies the terminal


def executable() -> str:
    """The `aixtivd` of the same installation, wherever the PATH leads. Raises NoDaemon."""
    ours = Path(os.path.realpath(sys.argv[0]))
    for neighbour in (Path(sys.executable), *([ours] if ours.name == "aixtiv" else [])):  # `python -c` has "-c" there
        if (found := neighbour.parent / "aixtivd").is_file():
            return str(found)
    if found_on_path := shutil.which("aixtivd"):
        return found_on_path
    raise NoDaemon("aixtivd is not installed beside this command", hint="pipx install aixtiv")


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}


def _answers(path: str) -> bool:
    try:
        Connection(path).close()
    except NoDaemon:
        return False
    return True


@contextlib.contextmanager
def _only_one(lock: Path, until: float) -> Iterator[None]:
    """Of several commands at once, one starts the daemon and the others wait for it."""
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise NoDaemon("another command is starting the daemon and does not get done") from None
                time.sleep(0.02)
        yield


def unit() -> Path | None:
    """Our unit's file, if it is installed. One socket has one owner: with `AIXTIV_SOCKET` the unit is not asked."""
    if os.environ.get("AIXTIV_SOCKET"):
        return None
    if sys.platform == "darwin":
        return _first_file([Path.home() / f"Library/LaunchAgents/{LABEL}.plist"])
    return _first_file([folder / UNIT for folder in unit_folders()])


def unit_folders() -> list[Path]:
    """Where a user's units may lie (systemd.unit(5)); the first is the person's own."""
    folders = [
        Path(platformdirs.user_config_dir("systemd")) / "user",
        Path(platformdirs.user_data_dir("systemd")) / "user",
    ]
    return folders + [Path(f"{root}/systemd/user") for root in ("/etc", "/usr/local/lib", "/usr/lib")]


def _first_file(candidates: list[Path]) -> Path | None:
    return next((file for file in candidates if file.is_file()), None)


def _target() -> str:
    return f"gui/{os.getuid()}/{LABEL}"


def _by_service_manager() -> bool:
    """Whether the service manager took it on. False where there is no unit of ours, or no manager to ask."""
    if (file := unit()) is None:
        return False
    for ask in _questions(file):
        try:
            asked = subprocess.run(ask, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise _unanswered() from None
        except OSError:
            return False
        if asked.returncode == 0:
            return True
        if _NO_BUS.search(asked.stderr):  # no session (cron, a container): the unit cannot be started by anybody
            return False
    raise NoDaemon("the daemon's service does not start", hint=_LOGS)


def _questions(file: Path) -> list[list[str]]:
    """What is asked of the manager, one after the other until it obeys. launchd starts only what it has loaded."""
    if sys.platform != "darwin":
        return [["systemctl", "--user", "start", UNIT]]
    kick, domain = ["launchctl", "kickstart", _target()], f"gui/{os.getuid()}"
    return [kick, ["launchctl", "bootstrap", domain, str(file)]]


def _unanswered() -> NoDaemon:
    return NoDaemon(
        f"the daemon's service was started and does not answer after {PATIENCE:.0f} seconds",
        hint=_LOGS,
    )


def _in_background(path: str, log: Path, until: float) -> None:
    """Starts `aixtivd` detached, and returns when it answers."""
    command = [executable()]
    with os.fdopen(_open_log(log), "ab") as out:
        begins = out.tell()
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env=clean_environment(os.environ) | STARTED,
            start_new_session=True,
        )
    while not _answers(path):
        if daemon.poll() is not None and not _answers(path):
            raise last_words(log, begins)
        if time.monotonic() > until:
            raise NoDaemon(f"the daemon does not answer after {PATIENCE:.0f} seconds", hint=_with("cat", log))
        time.sleep(0.02)
    daemon.returncode = 0  # it outlives us on purpose: not a child that was forgotten


def last_words(log: Path, begins: int) -> AixtivError:
    """Why the daemon ended at once, as it said itself in the log from `begins` on."""
    with log.open("rb") as file:
        file.seek(begins)
        lines = file.read(1 << 16).decode(errors="replace").splitlines()
    if not (sentence := said(lines)):
        return NoDaemon("the daemon ended as soon as it was started", hint=_with("cat", log))
    return NoDaemon(f"the daemon does not start: {sentence}", hint=said(lines, "hint"))


def said(lines: list[str], kind: str = "error") -> str:
    """What `aixtivd` said in its own voice, last; the rest of its stderr is its log."""
    mark = f"aixtivd: {kind}: "
    return next((line.removeprefix(mark) for line in reversed(lines) if line.startswith(mark)), "")


def _make_private(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _open_log(log: Path) -> int:
    if log.exists() and not log.is_file():  # a FIFO would keep us waiting for a reader
        raise NoDaemon(f"{log} is not a file", hint=_with("ls -l", log))
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
