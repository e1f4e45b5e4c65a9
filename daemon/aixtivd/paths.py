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
        state=Path(platformdirs.user_state_dir("aixtiv")),
        config=Path(platformdirs.user_config_dir("aixtiv")) / "config.toml",
        socket=Path(socket_path(os.environ, str(Path.home()), os.getuid(), sys.platform, os.path.isdir)),
    )
