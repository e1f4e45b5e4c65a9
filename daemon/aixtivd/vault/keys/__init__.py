"""Where the key that seals the store comes from: a union of sources, and how one of them is chosen, once."""

import os
from pathlib import Path
from typing import Final, assert_never

import msgspec
from msgspec import Struct

from aixtiv_protocol.requests import KeySource as Name
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault.keys.credential import Credential, present
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.keys.keystore import KeyStore
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import Cost, Passphrase

MOVED: Final = "it was moved here"
"""With this begins the reason of a source that the key was moved to."""

KeySource = KeyFile | Credential | KeyStore | Passphrase
"""The table: a new source is a file beside this one, its name here, and a case in `_configured`.

Each has a `name`, `make` (a new key, durable and read back before it returns) and `load`; both give 32 bytes or more,
block, and raise KeyFailed with a sentence and a command. Its fields are what has to be known to find the key again.
"""


class Chosen(Struct, frozen=True):
    source: KeySource
    reason: str  # a sentence, shown by `status`
    material: bytes  # the key it gave

    def __repr__(self) -> str:
        return f"Chosen({self.source.name})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("source", self.source.name)]


def recorded(source: KeySource) -> str:
    """As it stands in the store."""
    return msgspec.json.encode(source).decode()


def from_record(text: str) -> KeySource:
    """Raises KeyFailed: no source that this aixtiv knows."""
    try:
        source: KeySource = msgspec.json.decode(text, type=KeySource)
    except (msgspec.DecodeError, RecursionError):
        raise KeyFailed("the store names a key source that this aixtiv does not know") from None
    if isinstance(source, KeyFile) and "\0" in source.path:
        raise KeyFailed("the store names a key file that cannot be one: it was altered")
    return source


def told(reason: str, record: str, folder: Path) -> str:
    """Why it is that source, and of a key file that is not simply `key` beside the store, where it lies."""
    try:
        source = from_record(record)
    except KeyFailed:
        return reason
    if not isinstance(source, KeyFile) or not (source.path or reason.startswith(MOVED)):
        return reason
    return f"{reason}; it is {place(source, Occasion(folder, b''))}"


def choose(config: VaultConfig, occasion: Occasion, cost: Cost) -> Chosen:
    """The source for a new store, with its new key. Blocks. Raises KeyFailed: then no store is to be made."""
    if config.key == "auto":
        return _first_at_hand(config, occasion)
    source = _configured(config, cost)
    return Chosen(source, f'the config says key = "{config.key}"', source.make(occasion))


def again(source: KeySource, occasion: Occasion, cost: Cost) -> Chosen:
    """The same source for another data key: a passphrase with a new salt, at today's cost. Blocks. Raises KeyFailed."""
    if isinstance(source, Passphrase):
        source = Passphrase.new(cost)
    return Chosen(source, "", source.load(occasion))


def another(name: Name, present: KeySource, config: VaultConfig, occasion: Occasion, cost: Cost) -> Chosen:
    """Another source for a store that has one, with a key of its own, durable and read back as the next start reads it.

    Nothing is overwritten: until the store is sealed under it, the present key is the one that opens it. Blocks.
    Raises KeyFailed.
    """
    source = _another(name, config, occasion, cost)
    if isinstance(source, Credential | KeyFile) and _same(source, present, occasion):
        raise KeyFailed(f"the key comes from {place(source, occasion)} already", hint="aixtiv key rotate")
    material = source.make(occasion)
    if from_record(recorded(source)).load(occasion) != material:
        raise KeyFailed(f"{place(source, occasion)} does not give back the key that was put there")
    return Chosen(source, "", material)


def _another(name: Name, config: VaultConfig, occasion: Occasion, cost: Cost) -> KeySource:
    match name:
        case "file":
            return _file(config) if config.key_file else KeyFile.unused(occasion)
        case "systemd":
            return Credential()
        case "keyring":
            return KeyStore.unused(occasion)
        case "passphrase":
            return Passphrase.new(cost)
    assert_never(name)


def _same(source: KeySource, present: KeySource, occasion: Occasion) -> bool:
    """Also where it is one file under two spellings of its path: a link to its folder, `..`."""
    if isinstance(source, KeyFile) and isinstance(present, KeyFile):
        return os.path.realpath(source.place(occasion)) == os.path.realpath(present.place(occasion))
    return source.name == present.name


def place(source: KeySource, occasion: Occasion) -> str:
    """Where its key lies, for a sentence."""
    match source:
        case KeyFile():
            return f"the key file {source.place(occasion)}"
        case KeyStore():
            return f"the entry {source.place(occasion)} of the desktop key store"
        case Credential():
            return "the systemd credential"
        case Passphrase():
            return "the passphrase of before"
    assert_never(source)


def _configured(config: VaultConfig, cost: Cost) -> KeySource:
    match config.key:
        case "file" | "auto":
            return _file(config)
        case "systemd":
            return Credential()
        case "keyring":
            return KeyStore.of_this_platform(config.keyring_backend)
        case "passphrase":
            return Passphrase.new(cost)
    assert_never(config.key)


def _file(config: VaultConfig) -> KeyFile:
    """The path is recorded whole, since a later start may have another working directory."""
    return KeyFile(str(Path(config.key_file).expanduser().absolute()) if config.key_file else "")


def _first_at_hand(config: VaultConfig, occasion: Occasion) -> Chosen:
    """systemd credential, desktop key store, key file. A credential that is there but unfit is not passed over."""
    if present():
        source = Credential()
        return Chosen(source, "auto: systemd handed over a credential", source.make(occasion))
    keystore = KeyStore.of_this_platform(config.keyring_backend)
    try:
        material = keystore.make(occasion)
    except KeyFailed as failure:
        file = _file(config)
        return Chosen(file, f"auto: no systemd credential; {failure.sentence}", file.make(occasion))
    return Chosen(keystore, "auto: no systemd credential; the desktop key store answered", material)
