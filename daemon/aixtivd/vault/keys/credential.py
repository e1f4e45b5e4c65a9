"""A systemd credential: a key that the service manager hands over, unsealed from TPM or host key. Read-only."""

import os
from pathlib import Path
from typing import ClassVar, Final

from msgspec import Struct

from aixtivd.errors import KeyFailed
from aixtivd.vault import folder
from aixtivd.vault.keys.occasion import Occasion

NAME: Final = "aixtiv.key"
_LEAST: Final = 32  # bytes, text or binary, taken exactly as they are
_MOST: Final = 1024 * 1024  # systemd's own limit for a credential (systemd.exec(5))
_HINT: Final = "systemctl --user cat aixtivd"


class Credential(Struct, frozen=True, tag="systemd", tag_field="source"):
    name: ClassVar[str] = "systemd"

    def make(self, occasion: Occasion) -> bytes:
        """Nothing is made: the administrator did (`systemd-creds encrypt`)."""
        return self.load(occasion)

    def load(self, occasion: Occasion) -> bytes:  # noqa: ARG002  # the same for every store
        path = _where()
        if path is None:
            raise KeyFailed(
                f"no systemd credential {NAME} was handed over (CREDENTIALS_DIRECTORY is not set)", hint=_HINT
            )
        try:
            material = folder.read_plain(Path(os.path.realpath(path)), _MOST)  # some hand over links
        except FileNotFoundError:
            raise KeyFailed(f"the systemd credential {path} is missing", hint=_HINT) from None
        except OSError as error:
            raise KeyFailed(
                f"the systemd credential {path} cannot be read: {folder.reason(error)}", hint=_HINT
            ) from None
        if len(material) < _LEAST:
            raise KeyFailed(
                f"the systemd credential {path} holds {len(material)} bytes; a key is {_LEAST} or more", hint=_HINT
            )
        return material


def present() -> bool:
    """Whether one was handed over, fit or not: one that cannot even be looked at counts, and `load` says why."""
    path = _where()
    try:
        return path is not None and bool(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _where() -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) / NAME if directory else None
