"""A backup: records under a passphrase of their own, in one piece of bytes that nothing else opens.

    magic line · salt (16) · iterations, KiB, lanes (4 each, big-endian) · nonce (12) · AES-256-GCM of the content

All that stands before the ciphertext is its associated data, so that no byte of a backup can be changed.
"""

import os
import struct
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.errors import BadRequest, KeyFailed
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import SENSIBLE, Cost, Passphrase
from aixtivd.vault.sealing import BrokenSeal, derive, read

MAGIC: Final = b"aixtiv backup 1\n"

MOST: Final = 64 * 1024 * 1024
"""Bytes of a backup: ten thousand accounts of 6 KB each, where a grant has 2 to 8. All of it is in memory at once."""

_HEAD: Final = struct.Struct(f">{len(MAGIC)}s16sIII12s")
HEAD: Final = _HEAD.size
_WORDS: Final = MAGIC.rpartition(b" ")[0] + b" "  # of every version
_PURPOSE: Final = "backup"  # of the derived key
_DEAREST: Final = Cost(iterations=4, memory=256 * 1024, lanes=8)  # what a forged head can make us spend


class Content(Struct, frozen=True, array_like=True):
    """Records as whoever keeps them encodes them. Secret, and shown by no `repr`."""

    made_at: float  # Unix time
    records: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Content({len(self.records)} records)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("records", len(self.records))]


_pack = msgspec.msgpack.Encoder()
_unpack: msgspec.msgpack.Decoder[Content] = msgspec.msgpack.Decoder(Content)


def sealed(content: Content, passphrase: Secret, cost: Cost = SENSIBLE) -> bytes:
    """Blocks for as long as `cost` says. Raises BadRequest for an empty passphrase, KeyFailed."""
    salt, nonce = os.urandom(16), os.urandom(12)
    head = _HEAD.pack(MAGIC, salt, cost.iterations, cost.memory, cost.lanes, nonce)
    return head + AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, _pack.encode(content), head)


def expect_head(beginning: bytes | bytearray) -> None:
    """Looks at the first `HEAD` bytes, or at all where there are less. Raises BadRequest for what is no backup."""
    _read_head(beginning)


def unsealed(backup: bytes | bytearray, passphrase: Secret) -> Content:
    """Blocks for as long as the backup's head says, within bounds.

    Raises BadRequest for what is no backup, KeyFailed for a passphrase that does not open it.
    """
    salt, cost, nonce = _read_head(backup)
    key = _key(passphrase, salt, cost)
    head = bytes(backup[: _HEAD.size])
    try:
        plain = AESGCM(key).decrypt(nonce, memoryview(backup)[_HEAD.size :], head)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a tag
        raise KeyFailed("that passphrase does not open this backup, or the backup was altered", hint="") from None
    return decoded(plain)


def decoded(plain: bytes) -> Content:
    """What was under the seal. Raises BadRequest."""
    try:
        return read(_unpack, plain)
    except BrokenSeal:
        raise BadRequest("the backup holds something that this aixtiv does not know") from None


def _read_head(backup: bytes | bytearray) -> tuple[bytes, Cost, bytes]:
    if not backup.startswith(_WORDS):
        raise BadRequest("that is no backup of aixtiv's")
    if not backup.startswith(MAGIC):
        raise BadRequest("that backup was made by a newer aixtiv", hint="pip install --upgrade aixtiv")
    if len(backup) < _HEAD.size:
        raise BadRequest("that backup was cut short")
    _, salt, iterations, memory, lanes, nonce = _HEAD.unpack_from(backup)
    low, high = (1, 8 * lanes, 1), (_DEAREST.iterations, _DEAREST.memory, _DEAREST.lanes)
    if not all(least <= said <= most for least, said, most in zip(low, (iterations, memory, lanes), high, strict=True)):
        raise BadRequest("that backup asks for more work than any aixtiv makes it, or for none: it was altered")
    return salt, Cost(iterations, memory, lanes), nonce


def _key(passphrase: Secret, salt: bytes, cost: Cost) -> bytes:
    if not passphrase:
        raise BadRequest("an empty passphrase is refused")
    material = Passphrase(salt, cost).load(Occasion(Path(), b"", passphrase))
    return derive(material, salt, _PURPOSE)
