"""Who may open the socket, the store and the config: their modes and owners, looked at without the daemon."""

import os
import shlex
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aixtiv import place, start
from aixtiv.doctor.finding import Finding, Repair, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError
from aixtiv.show import short

# What belongs to the daemon beside the store; the config's folder and a person's own notes are not its business.
_KEPT: Final = ("store.db", "store.db-wal", "store.db-shm", "key", "spill", "store.lock", "audit.log")


def check_socket(situation: Situation) -> Iterator[Finding]:
    path = situation.socket
    try:
        distrusted = place.distrust(path)
    except FileNotFoundError:
        yield skipped("socket", f"there is no socket at {short(path)} yet")
        return
    except OSError as error:
        yield wrong("socket", f"{path} cannot be looked at: {error.strerror}", f"ls -ld {shlex.quote(path)}")
        return
    if distrusted:
        yield wrong("socket", *distrusted, repair=_closing(distrusted[1]))
    elif situation.welcome is None and _stale(path):
        mend = Repair(f"removed the stale socket {short(path)}", lambda: Path(path).unlink(missing_ok=True))
        yield wrong("socket", f"{short(path)} is stale: nobody listens there", f"rm {shlex.quote(path)}", repair=mend)
    else:
        yield fine("socket", f"{short(path)} is yours alone")


def _stale(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _closing(hint: str) -> Repair | None:
    """The hint itself, where it is a chmod of ours: nothing else is safe to do unasked."""
    words = shlex.split(hint)
    if len(words) != 3 or words[0] != "chmod":
        return None
    return _chmod(Path(words[2]), int(words[1], 8))


def _chmod(path: Path, mode: int) -> Repair:
    return Repair(f"closed {short(str(path))} to others", lambda: path.chmod(mode))


def check_store(situation: Situation) -> Iterator[Finding]:
    folder = situation.state
    if not folder.exists():
        yield skipped("store", f"there is no store at {short(str(folder))} yet")
        return
    faults = list(_store_faults(folder))
    yield from faults
    if not faults:
        yield fine("store", f"{short(str(folder))} and what is in it are yours alone")


def _store_faults(folder: Path) -> Iterator[Finding]:
    older = sorted([*folder.glob("audit.log.from-*"), *folder.glob("key-*")])  # `aixtiv key move` has made the latter
    for path in (folder, *(folder / name for name in _KEPT), *older):
        try:
            found = path.stat() if path == folder else path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield wrong(
                "store", f"{short(str(path))} cannot be looked at: {error.strerror}", f"ls -ld {_typed(folder)}"
            )
            return
        if fault := _fault(path, found, is_folder=path == folder):
            yield fault


def _fault(path: Path, found: os.stat_result, *, is_folder: bool) -> Finding | None:
    right_kind = stat.S_ISDIR if is_folder else stat.S_ISREG
    mode, wanted = stat.S_IMODE(found.st_mode), 0o700 if is_folder else 0o600
    if not right_kind(found.st_mode):
        return wrong(
            "store", f"{short(str(path))} is not a {'folder' if is_folder else 'plain file'}", f"ls -ld {_typed(path)}"
        )
    if found.st_uid != os.geteuid():
        return wrong(
            "store",
            f"{short(str(path))} belongs to another user (uid {found.st_uid})",
            f"chown {os.geteuid()} {_typed(path)}",
        )
    if mode & 0o077:
        sentence = f"{short(str(path))} is open to others (mode {mode:04o})"
        return wrong("store", sentence, f"chmod {wanted:o} {_typed(path)}", repair=_chmod(path, wanted))
    return None


def check_config(situation: Situation) -> Iterator[Finding]:
    path = situation.config
    if not path.exists():
        yield fine("config", f"there is no {short(str(path))}, and none is needed")
        return
    try:
        checked = subprocess.run(
            [start.executable(), "--check-config", "--config", path],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (AixtivError, OSError, subprocess.TimeoutExpired) as error:
        yield skipped("config", f"{short(str(path))} could not be checked: {error}", "aixtiv config check")
        return
    if not checked.returncode:
        yield fine("config", f"{short(str(path))} is right")
        return
    said = checked.stderr.splitlines()
    sentence = start.said(said) or f"{short(str(path))} could not be checked"
    yield wrong("config", sentence, start.said(said, "hint") or "aixtiv config check", repair=_shut(path))


def _shut(path: Path) -> Repair | None:
    """For a config of ours that everybody can write."""
    found = path.stat()
    if found.st_uid != os.geteuid() or not found.st_mode & 0o002:
        return None
    return Repair(f"closed {short(str(path))} to others", lambda: path.chmod(stat.S_IMODE(found.st_mode) & ~0o002))


def _typed(path: Path) -> str:
    return shlex.quote(str(path))
