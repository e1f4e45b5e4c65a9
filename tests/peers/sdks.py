"""The official SDKs of Claude's API, unmodified: where `make peer` put them, and how to run a driver on one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from peers.presence import absent

SDK: Final = Path(__file__).parent / "sdk"
NAMES: Final = ("newest", "below1", "typescript")
PYTHONS: Final = ("newest", "below1")
PATIENCE: Final = 60.0  # seconds for a driver, which sends 20 MB among other things

_ROOT: Final = Path(__file__).parents[2]
_TYPESCRIPT: Final = SDK / "node_modules/@anthropic-ai/sdk/package.json"


class Came(Struct, frozen=True):
    """What a driver's run came to."""

    out: str
    err: str
    code: int

    @property
    def acts(self) -> dict[str, Any]:
        """By the act's name. The driver must have come to its end."""
        assert self.code == 0, f"exit {self.code}: {self.err}"
        found: dict[str, Any] = json.loads(self.out)
        return found


class Sdk(Struct, frozen=True):
    """One of them. `command`: what runs its driver, with the acts behind."""

    name: str
    title: str  # as its makers call it, with its version
    command: tuple[str, ...]

    def run(self, *arguments: str, environ: Mapping[str, str], before: tuple[str, ...] = ()) -> Came:
        """The driver with these arguments in exactly this environment. `before`: the command that runs it."""
        command = [*before, *self.command, *arguments]
        ran = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Came(ran.stdout, ran.stderr, ran.returncode)


def sdk(name: str) -> Sdk:
    """Skips the test where it is not installed; in CI that is a failure."""
    found = _sdk(name)
    return found if isinstance(found, Sdk) else absent(found)


def sdk_or_why_not(name: str) -> Sdk | str:
    return _sdk(name)


# The client library, for `credentials=`: it needs msgspec and nothing else, which both environments have.
AIXTIV: Final = {"PYTHONPATH": os.pathsep.join(str(_ROOT / part) for part in ("client", "protocol"))}


@cache
def _sdk(name: str) -> Sdk | str:
    return _typescript() if name == "typescript" else _python(name)


def _python(name: str) -> Sdk | str:
    home = Path(sys.prefix) / f"sdk-{name}"
    python = home / "bin/python"
    if not (home / ".ready").is_file() or not python.exists():
        return f"PyPI's anthropic ({name}) is not installed (make peer)"
    lock = (SDK / f"{name}.lock").read_text()
    version = lock.partition("anthropic==")[2].split(maxsplit=1)[0]
    return Sdk(name, f"PyPI anthropic {version}", (str(python), str(SDK / "driver.py")))


def _typescript() -> Sdk | str:
    node = shutil.which("node")
    if not node or not _TYPESCRIPT.is_file():
        return "npm's @anthropic-ai/sdk is not installed (make peer)" if node else "node is not installed"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not said.startswith("v") or int(said[1:].partition(".")[0]) < 20:
        return f"node is {said or 'broken'}, and the driver needs 20 or newer"
    version = json.loads(_TYPESCRIPT.read_text())["version"]
    return Sdk("typescript", f"npm @anthropic-ai/sdk {version}", (node, str(SDK / "driver.mjs")))
