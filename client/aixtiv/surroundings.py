"""What kind of place this is, as far as a browser goes: recognised by signs that can be named to the person."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["desktop", "ssh", "container", "wsl", "headless"]

_CONTAINERS: Final = re.compile(r"docker|containerd|kubepods|libpod|lxc|podman")
_WINDOWS: Final = ("wslview", "explorer.exe")  # what opens an address in Windows' browser


class Surroundings(Struct, frozen=True, kw_only=True):
    kind: Kind
    sign: str = ""  # by which it was recognised
    opener: str = ""  # the command that opens an address in front of the person; empty: the library's, or none

    @property
    def in_front(self) -> bool:
        """Whether a browser opened here would be in front of the person."""
        return self.kind == "desktop"

    @property
    def sentence(self) -> str:
        """What was recognised, for a person; empty for a desktop, where nothing is to be said."""
        match self.kind:
            case "desktop":
                return ""
            case "ssh":
                return f"this is a session over SSH ({self.sign})"
            case "container":
                return f"this is a container ({self.sign})"
            case "wsl":
                return f"this is Linux inside Windows ({self.sign})"
            case "headless":
                return f"there is no display here ({self.sign})"


def here() -> Surroundings:
    return recognised(os.environ, sys.platform)


def recognised(environ: Mapping[str, str], platform: str, root: Path = Path("/")) -> Surroundings:
    """`BROWSER` is the person's own word on it, and comes before all signs. `root`: where /proc and /run are."""
    if environ.get("BROWSER"):
        return Surroundings(kind="desktop", sign="BROWSER is set")
    if sign := _first_set(environ, "SSH_CONNECTION", "SSH_TTY"):
        return Surroundings(kind="ssh", sign=sign)
    return Surroundings(kind="desktop") if platform == "darwin" else _linux(environ, root)


def _linux(environ: Mapping[str, str], root: Path) -> Surroundings:
    opener = _opener(environ)
    if (sign := _wsl(root)) and (opener or not environ.get("DISPLAY")):  # else WSLg, with a browser of its own perhaps
        return Surroundings(kind="wsl", sign=sign, opener=opener)
    if sign := _first_set(environ, "WAYLAND_DISPLAY", "DISPLAY"):
        return Surroundings(kind="desktop", sign=sign)
    if sign := _container(environ, root):
        return Surroundings(kind="container", sign=sign)
    return Surroundings(kind="headless", sign="neither DISPLAY nor WAYLAND_DISPLAY is set")


def _first_set(environ: Mapping[str, str], *names: str) -> str:
    return next((f"{name} is set" for name in names if environ.get(name)), "")


def _wsl(root: Path) -> str:
    return "/proc/version names Microsoft" if "microsoft" in _read(root / "proc/version").lower() else ""


def _opener(environ: Mapping[str, str]) -> str:
    path = environ.get("PATH", os.defpath)
    return next((found for name in _WINDOWS if (found := shutil.which(name, path=path))), "")


def _container(environ: Mapping[str, str], root: Path) -> str:
    for name in (".dockerenv", "run/.containerenv"):
        if (root / name).exists():
            return f"/{name} is there"
    if said := environ.get("container"):  # systemd's and podman's name for it
        return f"the variable container is {said[:20]}"
    found = _CONTAINERS.search(_read(root / "proc/1/cgroup"))
    return f"/proc/1/cgroup names {found[0]}" if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:65536]
    except OSError:
        return ""
