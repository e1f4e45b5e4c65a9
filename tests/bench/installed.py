"""aixtiv as a user has it: the wheel in an environment of its own, and beside it a console script that does nothing."""

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final, Self

PROJECT: Final = Path(__file__).parents[2]
LOCK: Final = PROJECT / "requirements.lock"

NOTHING: Final = {
    "nothing.py": "def main():\n    pass\n",
    "nothing-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: nothing\nVersion: 1\n",
    "nothing-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "nothing-1.dist-info/entry_points.txt": "[console_scripts]\nnothing = nothing:main\n",
}


class Installed:
    """`scripts` holds what pip made: `aixtiv`, `aixtivd`, `nothing`, and `python`."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.scripts: Final = folder / "bin"

    @property
    def python(self) -> str:
        return str(self.scripts / "python")

    @property
    def aixtiv(self) -> str:
        return str(self.scripts / "aixtiv")

    @property
    def site(self) -> str:
        """Where its packages lie."""
        return next(str(path) for path in self.folder.glob("lib/python*/site-packages"))

    def made(self) -> Self:
        """The wheel of what is checked out now. What it needs is as the lock has it, and fetched where that changed."""
        mark = self.folder / "lock"
        if not mark.exists() or mark.read_bytes() != LOCK.read_bytes():
            _run(sys.executable, "-m", "venv", "--clear", str(self.folder))
            self._pip("install", "--upgrade", "pip")  # as pipx has it: its scripts import less than older ones
            self._pip("uninstall", "--yes", "setuptools")  # which would load a part of itself at every start
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made)
            wheel = next(folder.glob("aixtiv-*.whl"))
            pins = folder / "pins.txt"
            pins.write_text("\n".join(_pins()))
            if not mark.exists():
                self._pip("install", "-c", str(pins), str(wheel), str(nothing(folder)))
            self._pip("install", "--force-reinstall", "--no-deps", str(wheel))
        mark.write_bytes(LOCK.read_bytes())
        return self

    def _pip(self, *words: str) -> None:
        _run(self.python, "-m", "pip", *words, "-qq", "--disable-pip-version-check")


def _pins() -> list[str]:
    """The lock without its hashes: pip would want one of our own wheel, too."""
    lines = (line.strip().removesuffix("\\").strip() for line in LOCK.read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("--", "#"))]


def nothing(folder: Path) -> Path:
    """The wheel of a program that does nothing."""
    path = folder / "nothing-1-py3-none-any.whl"
    record = "nothing-1.dist-info/RECORD"
    listed = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in NOTHING.items()) + f"{record},,\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in (NOTHING | {record: listed}).items():
            wheel.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _run(*words: str) -> None:
    """Without what would make Python compile at each start, or find packages of this environment."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in dropped}
    ran = subprocess.run(words, env=environ, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ran.stdout}{ran.stderr}")
