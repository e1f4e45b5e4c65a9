"""Where the daemon keeps things: the same however it is started, so that there is never a second store by accident."""

import os
import sys
from pathlib import Path

import platformdirs
from msgspec import Struct

from aixtiv_protocol.where import socket_path


class Paths(Struct, frozen=True):
    state: Path  # 0700: store, key, spill slot, lock
    config: Path
    socket: Path

    @property
    def store(self) -> Path:
        return self.state / "store.db"

    @property
    def key(self) -> Path:
        return self.state / "key"


def paths() -> Paths:
    """platformdirs' folders for this user."""
    return Paths(
        state=_xdg("XDG_STATE_HOME", ".local/state") or Path(platformdirs.user_state_dir("aixtiv")),
        config=(_xdg("XDG_CONFIG_HOME", ".config") or Path(platformdirs.user_config_dir("aixtiv"))) / "config.toml",
        socket=Path(socket_path(os.environ, str(Path.home()), os.getuid(), sys.platform, os.path.isdir)),
    )


def _xdg(variable: str, usual: str) -> Path | None:
    """What platformdirs says, too, where environment and system are as usual: its import takes longer than all this."""
    base, home = os.environ.get(variable, ""), os.environ.get("HOME", "")
    if sys.platform != "linux" or not home.startswith("/"):
        return None
    return (Path(base) if base.startswith("/") else Path(home, usual)) / "aixtiv"
