"""A passphrase, stretched with Argon2id (RFC 9106)."""

import os
import unicodedata
from typing import ClassVar, Final

from msgspec import Struct

from aixtivd.errors import KeyFailed
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.sealing import KEY


class Cost(Struct, frozen=True):
    """What one guess costs. A profile has a name here; no configuration reaches another."""

    iterations: int
    memory: int  # KiB
    lanes: int

    def below(self, other: "Cost") -> bool:
        """Whether a guess costs less: in memory, which is what graphics cards lack, or in work."""
        return self.memory < other.memory or self.memory * self.iterations < other.memory * other.iterations

    def __str__(self) -> str:
        memory = f"{self.memory // 1024} MiB" if self.memory >= 1024 else f"{self.memory} KiB"
        return f"Argon2id, {memory}, iterations: {self.iterations}, lanes: {self.lanes}"


SENSIBLE: Final = Cost(iterations=3, memory=65536, lanes=4)
"""RFC 9106 §4, second recommended option: 64 MiB. 0.11 s on a slow two-core machine. A passphrase that was stretched
with less is stretched with this at its next unlock."""

CHEAP: Final = Cost(iterations=1, memory=8, lanes=1)
"""For tests only: the parameters' floor."""

_MOST: Final = Cost(iterations=16, memory=1024 * 1024, lanes=16)
"""What an altered store can make us spend: 1 GiB, and well under a minute."""


class Passphrase(Struct, frozen=True, tag="passphrase", tag_field="source"):
    """The parameters stand beside the wrapped key, so that better ones can come without locking anybody out."""

    name: ClassVar[str] = "passphrase"
    salt: bytes
    cost: Cost

    @classmethod
    def new(cls, cost: Cost) -> "Passphrase":
        return cls(os.urandom(16), cost)

    def make(self, occasion: Occasion) -> bytes:
        return self.load(occasion)

    def load(self, occasion: Occasion) -> bytes:
        """Takes as long as `cost` says. The same passphrase typed on another system (NFD) is the same."""
        if occasion.passphrase is None:
            raise KeyFailed("the vault opens with its passphrase", hint="aixtiv unlock")
        if not occasion.passphrase:
            raise KeyFailed("an empty passphrase is refused", hint="aixtiv unlock")
        text = unicodedata.normalize("NFC", occasion.passphrase.reveal())
        return self._stretched(text.encode("utf-8", "surrogateescape"))

    def _stretched(self, text: bytes) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # loads when first needed
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415  # as above

        cost = self.cost
        if cost.iterations > _MOST.iterations or cost.memory > _MOST.memory or cost.lanes > _MOST.lanes:
            raise KeyFailed("the store asks for more work than any aixtiv makes it: it was altered")
        try:
            argon2 = Argon2id(
                salt=self.salt, length=KEY, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory
            )
            return argon2.derive(text)
        except UnsupportedAlgorithm:
            raise KeyFailed("this Python's cryptography has no Argon2id", hint="pip install -U cryptography") from None
        except (ValueError, OverflowError, MemoryError):
            raise KeyFailed("the passphrase cannot be stretched with the store's parameters") from None
