"""A small disk of a test's own, which can really be full or read-only."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers.presence import absent


class SmallDisk:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path / "home"  # 0700, for a vault
        self.home.mkdir(mode=0o700)
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Until not one byte fits."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        self._ballast.write_bytes(b"")

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True, timeout=10)


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """A tmpfs for the length of the block; mounting one takes root."""
    path = folder / "disk"
    path.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        absent("there is no mount command for a small disk")
    if mounted.returncode:
        absent("a small disk cannot be mounted (it takes root)")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, timeout=10)
