"""Sealing with AES-256-GCM, so that what lies on disk can be neither read, nor moved, nor altered unseen (D5)."""

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY: Final = 32  # bytes: AES-256
ID: Final = 16  # random bytes: the only name a record has on disk
_NONCE: Final = 12  # bytes, random; far fewer than 2**32 seals under one key (NIST SP 800-38D §8.3)
_FORMAT: Final = b"\x01"  # of what is sealed; part of the associated data, so old and new cannot be confused


class BrokenSeal(Exception):
    """These bytes were not sealed by this key for this place."""


class Sealer:
    """Seals under the data key. The associated data says table, id, format and generation: a seal fits one place."""

    __slots__ = ("_aead", "_extracted", "_spent")

    def __init__(self, data_key: bytes) -> None:
        self._aead = AESGCM(data_key)
        self._spent = hmac.digest(data_key, b"aixtiv spent tokens" + _FORMAT, "sha256")
        self._extracted = hmac.digest(bytes(32), data_key, "sha256")

    def seal(self, table: str, id_: bytes, generation: int, payload: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, payload, _bound(table.encode(), id_, _number(generation)))

    def unseal(self, table: str, id_: object, generation: object, sealed: object) -> bytes:
        """What was sealed for exactly this place. Raises BrokenSeal, also for values that a vandal gave other types."""
        if not (isinstance(id_, bytes) and isinstance(generation, int) and isinstance(sealed, bytes)):
            raise BrokenSeal
        return _opened(self._aead, sealed, _bound(table.encode(), id_, _number(generation)))

    def fingerprint(self, text: str) -> bytes:
        """Tells one token from another without holding it; worth nothing without the data key."""
        return hmac.digest(self._spent, text.encode(), "sha256")

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for something else than sealing: HKDF-SHA256 of the data key, as `derive` below does it."""
        return hmac.digest(self._extracted, b"aixtiv key for: " + purpose.encode() + b"\x01", "sha256")


def wrap(key: bytes, data_key: bytes, store: bytes, source: str) -> bytes:
    """The data key under the key source's key, bound to its purpose, the store's id and the source's name and settings.

    `store`: the store's id. `source`: as recorded in the store.
    """
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data_key, _bound(b"data key", store, source.encode()))


def unwrap(key: bytes, wrapped: bytes, store: bytes, source: str) -> bytes:
    """Raises BrokenSeal: another store's key, or an altered store."""
    return _opened(AESGCM(key), wrapped, _bound(b"data key", store, source.encode()))


def derive(material: bytes, store: bytes, source: str) -> bytes:
    """The key that wraps, from what a key source gave: HKDF-SHA256 (RFC 5869), one block, salted with the store's id.

    The standard library's HMAC, since importing cryptography's HKDF costs more than the two lines; a test holds
    both equal. `source`: the source's bare name, as its purpose.
    """
    extracted = hmac.digest(store, material, "sha256")
    return hmac.digest(extracted, b"aixtiv wrapping key: " + source.encode() + b"\x01", hashlib.sha256)


def _opened(aead: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise BrokenSeal from None


def _bound(*parts: bytes) -> bytes:
    """Associated data. Each part has its length in front, so that no two lists of parts give the same bytes."""
    return b"aixtiv" + _FORMAT + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _number(generation: int) -> bytes:
    return generation.to_bytes(8, "big", signed=True)  # SQLite's integers are signed; a vandal may write any
