"""systemd's user manager: the units of ours in ~/.config/systemd/user, its words put into ours."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

from aixtiv import start
from aixtiv.failures import AixtivError
from aixtiv.service import laid, port, running, units
from aixtiv.service.state import Done, State
from aixtiv.show import short

_PATIENCE: Final = 70.0  # seconds; a service that stops lets open refreshes finish, for which its unit gives it 50
_ALL: Final = (units.SERVICE, *units.SOCKETS)
_ASKED: Final = "Id,LoadState,ActiveState,UnitFileState,MainPID,ActiveEnterTimestamp,ExecMainStatus,FragmentPath"
# systemd.exec(5), "Process Exit Codes": USER, CAPABILITIES, NAMESPACE. No namespace for a user's service: Ubuntu from
# 24.04 on (kernel.apparmor_restrict_unprivileged_userns), hardened kernels, many containers.
_NO_NAMESPACE: Final = {"217", "218", "226"}
_LOOSENED: Final = "no-namespace.conf"
_HEADLESS: Final = "headless.conf"
LOG: Final = f"journalctl --user -u {units.SERVICE} -n 20"


def unreachable() -> tuple[str, str] | None:
    """Why the user's manager cannot be asked, and the command that may change that."""
    if not shutil.which("systemctl"):
        return "systemd is not on this machine", ""
    try:
        found = _asked("show", "--property=Version")
    except AixtivError as failure:
        return failure.sentence, failure.hint
    if found.returncode == 0:
        return None
    runtime = Path(f"/run/user/{os.getuid()}")
    if not os.environ.get("XDG_RUNTIME_DIR") and (runtime / "systemd/private").exists():
        return (
            "XDG_RUNTIME_DIR is not set, by which systemd's user manager is found",
            f"export XDG_RUNTIME_DIR={runtime}",
        )
    if "booted with systemd" in found.stderr:
        return "no systemd runs here, as in a container", ""
    return "systemd has no manager for this user's session", ""


class Systemd:
    name = "systemd"

    def install(self, *, linger: bool, headless: bool) -> Done:
        before = self.state()
        changed = laid.lay(self._wanted(_HEADLESS) if headless else self._wanted())
        changed = port.follow() or changed  # one that the config does not name any more
        fresh = not (before.enabled and before.running) or changed
        warnings: tuple[tuple[str, str], ...] = ()
        if fresh:
            _told("daemon-reload")
            _end_stray(before)
            _told("enable", *_ALL)
            if changed:  # a socket cannot be changed while its service runs
                _asked("stop", units.SERVICE)
                _told("restart", *units.SOCKETS)
            warnings = self._started()
        if linger and not before.linger:
            _enable_linger()
        return Done("installed the service; it starts at login" if fresh else "the service is installed", warnings)

    def uninstall(self) -> Done:
        state, known = self.state(), laid.remembered()
        if not state.installed and not known.folders:
            return Done("the service is not installed")
        laid.check_ours(self._files())
        if state.listening or state.running:
            _told("stop", *_ALL)
        _asked("disable", *_ALL)
        laid.take_away(self._files())
        _told("daemon-reload")
        _asked("reset-failed", *_ALL)
        if known.linger:
            _login("disable-linger")
        return Done("removed the service; any `aixtiv` starts the daemon in the background", self._left())

    def start(self) -> Done:
        before = self.state()
        if not before.installed:
            raise AixtivError("the service is not installed", hint="aixtiv service install")
        if before.running:
            return Done("the daemon runs already")
        _end_stray(before)
        return Done("started the daemon's service", self._started())

    def stop(self) -> Done:
        state = self.state()
        if state.listening or state.running:
            _told("stop", *_ALL)
        elif not running.end_stray():
            return Done("the daemon was not running")
        return Done("stopped; any `aixtiv` starts it again")

    def state(self) -> State:
        found = _shown()
        service = found[units.SERVICE]
        active = {name for name, unit in found.items() if unit.get("ActiveState") in ("active", "reloading")}
        installed = start.unit() is not None
        own = (units.systemd_folder() / units.SERVICE).is_file()
        return State(
            self.name,
            installed=installed,
            enabled=all(unit.get("UnitFileState") == "enabled" for unit in found.values()),
            listening=set(units.SOCKETS) <= active,
            running=units.SERVICE in active,
            pid=_number(service.get("MainPID", "")),
            since=_number(service.get("ActiveEnterTimestamp", "").removeprefix("@")),
            linger=_login("show-user", str(os.getuid()), "--property=Linger", "--value") == "yes",
            files=tuple(str(path) for path in self._files() if path.is_file()) or _packaged(),
            differs=self._differing() if own else (),
            problem="its last start failed" if service.get("ActiveState") == "failed" else "",
        )

    def log(self, *, lines: int, follow: bool) -> list[str]:
        return ["journalctl", "--user", "--unit", units.SERVICE, f"--lines={lines}", *(["--follow"] if follow else [])]

    def _differing(self) -> tuple[str, ...]:
        found = dict.fromkeys(laid.differing(self._wanted()))
        if stale := port.stale():
            found[stale] = None
        return tuple(str(path) for path in found)

    def _wanted(self, *more: str) -> dict[Path, str]:
        """With the drop-ins `more`, and those that were chosen once: whoever installs again need not know of them."""
        chosen = (name for name in (_LOOSENED, _HEADLESS) if name in more or _drop_in(name).is_file())
        return {
            **units.systemd(units.site(os.environ)),
            **{_drop_in(name): units.drop_in(name) for name in chosen},
        }

    def _files(self) -> list[Path]:
        folder = units.systemd_folder()
        return [*(folder / name for name in _ALL), port.drop_in(folder), _drop_in(_LOOSENED), _drop_in(_HEADLESS)]

    def _left(self) -> tuple[tuple[str, str], ...]:
        """Drop-ins of the person's own, and units that a package brought."""
        own = [folder for name in _ALL if (folder := units.systemd_folder() / f"{name}.d").is_dir()]
        found = [(f"{short(str(folder))} is yours, and stays", "") for folder in own]
        return (*found, *((f"{file} came with a package, and stays switched off", "") for file in _packaged()))

    def _started(self) -> tuple[tuple[str, str], ...]:
        """Starts it, with the sandbox that is possible here. What the person should know of it."""
        told: tuple[tuple[str, str], ...] = ()
        try:
            _told("start", *units.SOCKETS, units.SERVICE)
        except AixtivError as failure:
            if _shown()[units.SERVICE].get("ExecMainStatus") not in _NO_NAMESPACE or _drop_in(_LOOSENED).is_file():
                raise _last_words() or failure from None
            self._loosen()
            told = (("this system allows a user's service no namespaces: its sandbox is without those", ""),)
        return (*told, *running.locked(running.awaited(LOG)))

    def _loosen(self) -> None:
        laid.lay(self._wanted(_LOOSENED))
        _told("daemon-reload")
        _asked("reset-failed", units.SERVICE)
        _told("start", *units.SOCKETS, units.SERVICE)


def _last_words() -> AixtivError | None:
    """Why the daemon ended at once, as it said itself in the journal."""
    lines = _run("journalctl", "--user", "--unit", units.SERVICE, "--lines=20", "--output=cat").stdout.splitlines()
    if not (sentence := start.said(lines)):
        return None
    return AixtivError(f"the daemon does not start: {sentence}", hint=start.said(lines, "hint") or LOG)


def _end_stray(state: State) -> None:
    """A daemon in the background, whose socket systemd would take. Where systemd listens, asking would start one."""
    if not (state.listening or state.running):
        running.end_stray()


def _drop_in(name: str) -> Path:
    return units.systemd_folder() / f"{units.SERVICE}.d/{name}"


def _packaged() -> tuple[str, ...]:
    """The unit that is not in the person's own folder."""
    unit = start.unit()
    return (str(unit),) if unit and unit.parent != units.systemd_folder() else ()


def _shown() -> dict[str, dict[str, str]]:
    """Unit -> property -> value."""
    words = _told("show", "--timestamp=unix", f"--property={_ASKED}", *_ALL)
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in words.split("\n\n")]
    named = {block.get("Id", ""): block for block in blocks}
    return {name: named.get(name, {}) for name in _ALL}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _told(*words: str) -> str:
    """Its stdout. Raises AixtivError in systemd's own words."""
    found = _asked(*words)
    if found.returncode:
        said = " ".join(found.stderr.split("\n", 1)[0].rstrip(".").split())
        raise AixtivError(f"systemctl {words[0]}: {said or f'exit {found.returncode}'}", hint=LOG)
    return found.stdout


def _asked(*words: str) -> subprocess.CompletedProcess[str]:
    return _run("systemctl", "--user", *words)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except OSError as error:
        raise AixtivError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise AixtivError(f"{command[0]} does not get done within {_PATIENCE:.0f} seconds", hint=LOG) from None


def _login(*words: str) -> str:
    """What loginctl says; empty where it refuses, or is not there."""
    if not shutil.which("loginctl"):
        return ""
    found = _run("loginctl", "--no-ask-password", *words)
    return found.stdout.strip() if found.returncode == 0 else ""


def _enable_linger() -> None:
    """Raises AixtivError where this person may not have that by themselves."""
    name = pwd.getpwuid(os.getuid()).pw_name
    hint = f"sudo loginctl enable-linger {name}"
    if not shutil.which("loginctl") or _run("loginctl", "--no-ask-password", "enable-linger").returncode:
        raise AixtivError("the service is installed, but you may not have it run without a login", hint=hint)
    known = laid.remembered()
    laid.remember(laid.Laid(folders=known.folders, linger=True))
