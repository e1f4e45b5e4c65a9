"""The gateway's fixed port in the service's sockets, as the config says it: a tool's first call starts the daemon."""

import sys
import tomllib
from pathlib import Path
from typing import Final

import platformdirs

from aixtiv import filed, start
from aixtiv.failures import AixtivError
from aixtiv.setup import files

SOCKET: Final = "aixtivd-claude.socket"


def configured() -> int:
    """`[claude] port`; 0: none. Raises AixtivError where the config cannot be read."""
    config = Path(platformdirs.user_config_dir("aixtiv")) / "config.toml"
    try:
        claude = tomllib.loads(filed.contents(config).decode("utf-8-sig")).get("claude")
    except FileNotFoundError:
        return 0
    except (ValueError, RecursionError):
        raise AixtivError(f"{config} is not TOML", hint="aixtiv config check") from None
    found = claude.get("port", 0) if isinstance(claude, dict) else 0
    return found if isinstance(found, int) else 0


def lines(port: int) -> str:
    """Beside the Unix socket of the unit itself. FreeBind=: a machine without ::1 is none where nothing listens."""
    return f"[Socket]\nListenStream=127.0.0.1:{port}\nListenStream=[::1]:{port}\nFreeBind=yes\n"


def drop_in(folder: Path) -> Path:
    return folder / f"{SOCKET}.d/port.conf"


def unit() -> Path | None:
    """Where the drop-in goes, if the gateway's socket unit is installed, whoever did that."""
    if sys.platform != "linux":
        return None
    folders = start.unit_folders()
    return drop_in(folders[0]) if any((folder / SOCKET).is_file() for folder in folders) else None


def stale() -> Path | None:
    """The drop-in that does not say what the config says, whichever of the two was written last."""
    if not (place := unit()):
        return None
    port = configured()
    wanted = lines(port).encode() if port else None
    return place if files.contents(place) != wanted else None


def follow() -> bool:
    """Has it say that; whether anything had to be done."""
    if not (place := stale()):
        return False
    if port := configured():
        files.write(place, lines(port).encode(), mode=0o644)
    else:
        files.remove(place)
        files.remove_empty([place.parent])
    return True
