"""The units as they have to lie on this machine: the templates of wheel or checkout, with its own paths put in."""

import os
import plistlib
import re
import shutil
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import platformdirs
from msgspec import Struct

from aixtiv import start
from aixtiv.failures import AixtivError
from aixtiv.service import laid, port
from aixtiv.setup import files

SERVICE: Final = start.UNIT
SOCKETS: Final = ("aixtivd.socket", port.SOCKET)
LABEL: Final = start.LABEL
_CHECKOUT: Final = Path(__file__).parents[3]
_PROGRAM: Final = "%h/.local/bin/aixtivd"
_STATE: Final = "%h/.local/state/aixtiv"
_FOLDERS: Final = {"XDG_STATE_HOME": ".local/state", "XDG_CONFIG_HOME": ".config"}
_UNFIT: Final = frozenset("\"'\\\n")
_ESCAPED: Final = {"%": "%%", "\\": "\\\\", '"': '\\"', "\n": "\\n"}


class Site(Struct, frozen=True):
    """What of a machine goes into the units."""

    home: Path
    program: str  # the absolute path of aixtivd
    state: Path  # the folder of the store
    environ: tuple[tuple[str, str], ...] = ()  # where the folders are, if not at their usual place
    port: int = 0  # of the gateway on 127.0.0.1; 0: none is fixed


def site(environ: Mapping[str, str]) -> Site:
    """This one. Raises NoDaemon where there is no aixtivd, AixtivError where the config cannot be read."""
    home, mac = Path.home(), sys.platform == "darwin"
    moved = (
        (name, value)
        for name, usual in _FOLDERS.items()
        if (value := environ.get(name, "")).startswith("/") and Path(value) != home / usual
    )
    found = Site(
        home=home,
        program=lasting(_installed(launchd_file(home) if mac else systemd_folder() / SERVICE)),
        state=Path(platformdirs.user_state_dir("aixtiv")),
        environ=() if mac else tuple(moved),
        port=port.configured(),
    )
    for word in (found.program, str(found.state), *(value for _, value in found.environ)):
        if not word.isprintable():  # control characters, and bytes that are no text
            raise AixtivError(f"no unit can be written for a path with such letters in it: {word!a}")
    return found


def lasting(known: str = "") -> str:
    """The `aixtivd` of this installation, by a name that upgrades keep: `known` or the PATH's, where it leads here.

    Two shells may have two PATHs: what is installed already is not other for that.
    """
    ours = start.executable()
    for found in (known, shutil.which("aixtivd")):
        if found and Path(found).exists() and Path(found).samefile(ours):
            return os.path.abspath(found)  # noqa: PTH100  # unlike resolve, it follows no link
    return ours


def _installed(unit: Path) -> str:
    """The program that the unit or job at that place starts; empty where there is none, or it cannot be told."""
    text = (files.contents(unit) or b"").decode(errors="replace")
    found = re.search(r"^ExecStart=(/\S+)$|<string>(/[^<&]+/aixtivd)</string>", text, re.MULTILINE)
    return found[1] or found[2] if found else ""


def systemd_folder() -> Path:
    return Path(platformdirs.user_config_dir("systemd")) / "user"


def systemd(site: Site) -> dict[Path, str]:
    """Raises AixtivError for a program that systemd refuses to start, however its path is written down."""
    if _UNFIT.intersection(site.program):
        raise AixtivError(f"systemd starts no program whose path has a quote or a backslash in it: {site.program}")
    folder = systemd_folder()
    found = {folder / name: _systemd(site, name) for name in (SERVICE, *SOCKETS)}
    if site.port:
        found[port.drop_in(folder)] = port.lines(site.port)
    return found


def _systemd(site: Site, name: str) -> str:
    text = template("systemd", name)
    text = text.replace(_PROGRAM, _quoted(site.program))
    if site.state != site.home / ".local/state/aixtiv":
        text = text.replace(_STATE, _quoted(str(site.state)))
    if name == SERVICE and site.environ:
        lines = "".join(f"Environment={_quoted(f'{variable}={value}')}\n" for variable, value in site.environ)
        text = text.replace("[Service]\n", f"[Service]\n{lines}")
    return laid.MARK.format(name) + text[text.index("[Unit]") :]


def _quoted(word: str) -> str:
    """As systemd reads it back: specifiers doubled, quotes where there is a blank (systemd.syntax(7))."""
    escaped = "".join(_ESCAPED.get(letter, letter) for letter in word)
    return f'"{escaped}"' if escaped != word or " " in word or "\t" in word or "'" in word else word


def drop_in(name: str) -> str:
    """The text of one for the service."""
    return laid.MARK.format(SERVICE) + template("systemd", name)


def launchd_file(home: Path) -> Path:
    return home / f"Library/LaunchAgents/{LABEL}.plist"


def launchd(site: Site) -> dict[Path, str]:
    job: dict[str, Any] = _put_home(plistlib.loads(template("launchd", f"{LABEL}.plist").encode()), str(site.home))
    job["ProgramArguments"] = [site.program]
    if site.port:
        job["Sockets"]["claude"].append(
            {"SockNodeName": "127.0.0.1", "SockServiceName": str(site.port), "SockFamily": "IPv4"}
        )
    return {launchd_file(site.home): plistlib.dumps(job, sort_keys=False).decode()}


def _put_home(value: Any, home: str) -> Any:
    """launchd expands nothing: each path of the template begins with @HOME@."""
    if isinstance(value, dict):
        return {key: _put_home(item, home) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_home(item, home) for item in value]
    return value.replace("@HOME@", home) if isinstance(value, str) else value


def template(folder: str, name: str) -> str:
    """From the wheel, where they travel beside this module; in an editable install from the checkout."""
    for place in (resources.files("aixtiv.service") / "templates" / folder / name, _CHECKOUT / folder / name):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise AixtivError(f"this installation lacks {folder}/{name}", hint="pipx reinstall aixtiv")
