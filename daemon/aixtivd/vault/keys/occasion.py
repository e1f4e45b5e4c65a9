"""For which store a key is wanted, and what the person said."""

from pathlib import Path

from msgspec import Struct

from aixtiv_protocol.secret import Secret


class Occasion(Struct, frozen=True):
    folder: Path  # the vault's
    store: bytes  # the store's id
    passphrase: Secret | None = None
    backend: str = ""  # the key store that the config names, if it names one
