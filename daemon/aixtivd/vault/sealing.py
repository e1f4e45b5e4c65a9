"""Sealing with AES-256-GCM, so that what lies on disk can be neither read, nor moved, nor altered unseen (D5)."""

import hashlib
import hmac
import os
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

T = TypeVar("T")

KEY: Final = 32  # bytes: AES-256
ID: Final = 16  # random bytes: the only name a record has on disk
_NONCE: Final = 12  # bytes, random; far fewer than 2**32 seals under one key (NIST SP 800-38D §8.3)
_LASTING: Final = 64  # bytes, two of SHA-256
_TIME: Final = 8
_FORMAT: Final = b"\x01"  # of what is sealed; part of the associated data, so old and new cannot be confused


class BrokenSeal(Exception):
    """These bytes were not sealed by this key for this place."""


class DataKey(Struct, frozen=True):
    """What the key source's key wraps: the key that seals, and what outlives it. Only ever in a local variable."""

    seals: bytes
    lasting: bytes  # as in `Sealer`
    made_at: int = 0  # Unix time of the rotation that made it; 0: it was made with the store

    @classmethod
    def first(cls, seals: bytes) -> "DataKey":
        return cls(seals, _lasting(seals))

    @classmethod
    def read(cls, plain: bytes) -> "DataKey":
        """Raises BrokenSeal: that is none."""
        if len(plain) == KEY:
            return cls.first(plain)
        if len(plain) != KEY + _LASTING + _TIME:
            raise BrokenSeal
        made_at = int.from_bytes(plain[-_TIME:], "big")
        return cls(plain[:KEY], plain[KEY:-_TIME], made_at)

    def written(self) -> bytes:
        """As it is wrapped: bare as long as it is the first, as every store had it before keys were rotated."""
        if self == DataKey.first(self.seals):
            return self.seals
        return self.seals + self.lasting + self.made_at.to_bytes(_TIME, "big")

    def __repr__(self) -> str:
        return "DataKey(…)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


def _lasting(data_key: bytes) -> bytes:
    """Neither half tells the data key: who has them cannot open what a rotation has left behind."""
    extracted = hmac.digest(bytes(32), data_key, "sha256")  # HKDF's first step, with no salt
    return extracted + hmac.digest(data_key, b"aixtiv spent tokens" + _FORMAT, "sha256")


class Sealer:
    """Seals under the data key. The associated data says table, id, format and generation: a seal fits one place.

    `lasting`: what keys for other purposes and fingerprints are made of. A rotation carries it over, so that they stay
    the same; empty: it is made of the data key, which is the store's first.
    """

    __slots__ = ("_aead", "_extracted", "_spent")

    def __init__(self, data_key: bytes, lasting: bytes = b"") -> None:
        self._aead = AESGCM(data_key)
        lasting = lasting or _lasting(data_key)
        self._extracted, self._spent = lasting[:KEY], lasting[KEY:]

    @property
    def lasting(self) -> bytes:
        return self._extracted + self._spent

    def seal(self, table: str, id_: bytes, generation: int, payload: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, payload, _bound(table.encode(), id_, _number(generation)))

    def unseal(self, table: str, id_: object, generation: object, sealed: object) -> bytes:
        """What was sealed for exactly this place. Raises BrokenSeal, also for values that a vandal gave other types."""
        if not (isinstance(id_, bytes) and isinstance(generation, int) and isinstance(sealed, bytes)):
            raise BrokenSeal
        return _opened(self._aead, sealed, _bound(table.encode(), id_, _number(generation)))

    def fingerprint(self, text: str) -> bytes:
        """Tells one token from another without holding it; worth nothing without what the data key wraps."""
        return hmac.digest(self._spent, text.encode(), "sha256")

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for something else than sealing: HKDF-SHA256 as `derive` below does it.

        Of the store's first data key: it stays the same when that is rotated.
        """
        return hmac.digest(self._extracted, b"aixtiv key for: " + purpose.encode() + b"\x01", "sha256")


def read(decoder: msgspec.msgpack.Decoder[T], plain: bytes) -> T:
    """What was under a seal. Raises BrokenSeal for what this aixtiv cannot read (a newer one's): as good as that."""
    try:
        return decoder.decode(plain)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BrokenSeal from None


def wrap(key: bytes, data_key: bytes, store: bytes, source: str) -> bytes:
    """The data key under the key source's key, bound to its purpose, the store's id and the source's name and settings.

    `data_key`: as `DataKey.written`. `store`: the store's id. `source`: as recorded in the store.
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
