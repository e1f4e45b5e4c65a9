"""The key file: 256 random bits in a file that nobody else may read."""

import itertools
import os
import secrets
import shlex
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from aixtivd.errors import KeyFailed
from aixtivd.host.faults import point
from aixtivd.vault import folder
from aixtivd.vault.keys.occasion import Occasion

LEAST = 32  # bytes; any content will do, so that a person may bring their own
_MOST = 1024 * 1024  # bytes; more is not read
_NAME = "key"


class KeyFile(Struct, frozen=True, tag="file", tag_field="source"):
    """`path` empty: `key` beside the store, wherever that is moved to; a bare name: that one there."""

    name: ClassVar[str] = "file"
    path: str = ""

    def make(self, occasion: Occasion) -> bytes:
        """Writes a new key, durable and read back, or takes the one that is there: it may belong to another store."""
        path = self.place(occasion)
        if os.path.lexists(path):
            return self.load(occasion)
        material = secrets.token_hex(32).encode() + b"\n"
        _write(path, material)
        point("key-written")
        if self.load(occasion) != material:
            raise KeyFailed(f"the key file {path} does not hold what was written to it", hint="dmesg | tail")
        return material

    def load(self, occasion: Occasion) -> bytes:
        path = self.place(occasion)
        if wrong := folder.fault(path, "the key file"):
            raise KeyFailed(wrong.sentence, hint=wrong.hint)
        try:
            material = folder.read_plain(path, _MOST)
        except FileNotFoundError:
            raise KeyFailed(f"the key file {path} is missing", hint=f"ls -l {shlex.quote(str(path))}") from None
        except OSError as error:
            raise KeyFailed(f"the key file {path} cannot be read: {folder.reason(error)}") from None
        if len(material) < LEAST:
            raise KeyFailed(f"the key file {path} holds {len(material)} bytes; a key is {LEAST} or more")
        return material

    def place(self, occasion: Occasion) -> Path:
        return occasion.folder / (self.path or _NAME)

    @classmethod
    def unused(cls, occasion: Occasion) -> "KeyFile":
        """The first name beside the store that nothing has: `key`, `key-2`, … What is there may open something yet."""
        names = itertools.chain([""], (f"{_NAME}-{number}" for number in itertools.count(2)))
        files = (cls(name) for name in names)
        return next(file for file in files if not os.path.lexists(file.place(occasion)))


def _write(path: Path, material: bytes) -> None:
    try:
        folder.write_whole(path, lambda held: _write_all(held, material))
    except OSError as error:
        raise KeyFailed(
            f"the key file {path} cannot be written: {folder.reason(error)}",
            hint=f"df -h {shlex.quote(str(path.parent))}",
        ) from None


def _write_all(held: int, material: bytes) -> None:
    """A short write shows when the key is read back."""
    os.write(held, material)
