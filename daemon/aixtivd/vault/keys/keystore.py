"""The desktop's key store (Secret Service, macOS Keychain) through `keyring`: one small key, asked once an unlock."""

import queue
import secrets
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from msgspec import Struct

from aixtivd.errors import KeyFailed
from aixtivd.vault.keys.occasion import Occasion

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds for one answer. A key store answers in 40 ms or waits for a person who may not be there."""

_SERVICE: Final = "aixtiv"
_HINT: Final = "aixtiv unlock"
_OWN: Final = "keyring.backends."
_REFUSED: Final = (
    "keyring.backends.fail",
    "keyring.backends.null",
    "keyring.backends.chainer",
    "keyrings.alt",
    "aixtiv.",
)
"""Backends that fail, that forget, that choose one by themselves, that write plain text, and that ask this daemon."""


class KeyStore(Struct, frozen=True, tag="keyring", tag_field="source"):
    """`backend`: dotted name of the backend's class, never whatever `keyring` would find by itself.

    `entry`: the key's name there; empty: the store's id.
    """

    name: ClassVar[str] = "keyring"
    backend: str
    entry: str = ""

    @classmethod
    def of_this_platform(cls, backend: str = "") -> "KeyStore":
        own = "keyring.backends.macOS.Keyring" if sys.platform == "darwin" else "keyring.backends.SecretService.Keyring"
        return cls(backend or own)

    @classmethod
    def unused(cls, occasion: Occasion) -> "KeyStore":
        """With an entry that nothing has: one that is there may open the store yet, and would be overwritten."""
        entry = f"{occasion.store.hex()}-{secrets.token_hex(4)}"
        return cls(cls.of_this_platform(occasion.backend).backend, entry)

    def make(self, occasion: Occasion) -> bytes:
        """Stores a new key under the store's id, or the entry's name, and reads it back."""
        store, user = self._open(occasion), self.place(occasion)
        key = secrets.token_hex(32)
        _asked(lambda: store.set_password(_SERVICE, user, key))
        if _asked(lambda: store.get_password(_SERVICE, user)) != key:
            raise KeyFailed("the desktop key store does not give back what was stored in it")
        return key.encode()

    def place(self, occasion: Occasion) -> str:
        return self.entry or occasion.store.hex()

    def load(self, occasion: Occasion) -> bytes:
        store, user = self._open(occasion), self.place(occasion)
        key = _asked(lambda: store.get_password(_SERVICE, user))
        if key is None:
            raise KeyFailed("the desktop key store answers, but has no key for this store (not found)", hint=_HINT)
        return key.encode()

    def _open(self, occasion: Occasion) -> "KeyringBackend":
        """Loading one runs its module, and a store names it in the clear: so it is `keyring`'s own, or the config's."""
        module = self.backend.rpartition(".")[0]
        if module.startswith(_REFUSED) or not module:
            raise KeyFailed(f"{self.backend} is not a key store that keeps secrets", hint="aixtiv config check")
        if not module.startswith(_OWN) and self.backend != occasion.backend:
            raise KeyFailed(
                f"the store names {self.backend} as its key store: a backend that is not keyring's own has to stand in"
                " the config, too (vault.keyring-backend)",
                hint="aixtiv config check",
            )
        import keyring.core  # noqa: PLC0415  # heavy: loads when first needed, and outside the time limit

        try:
            return _asked(lambda: keyring.core.load_keyring(self.backend))
        except (ImportError, AttributeError):
            raise KeyFailed(f"there is no keyring backend {self.backend}", hint="aixtiv config check") from None


def _asked(question: Callable[[], T]) -> T:
    """Puts a question to the key store. Raises KeyFailed with its trouble in words, or after PATIENCE.

    On a daemon thread, which keeps neither us nor the exit of the process waiting if no answer ever comes.
    """
    answers: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(question())
        except Exception as error:  # noqa: BLE001  # a backend may raise anything; it is judged below
            answers.put(error)

    threading.Thread(target=ask, name="key store", daemon=True).start()
    try:
        answer = answers.get(timeout=PATIENCE)
    except queue.Empty:
        raise KeyFailed(
            f"the desktop key store did not answer within {PATIENCE:g} seconds; it may be waiting for a person",
            hint=_HINT,
        ) from None
    if isinstance(answer, ImportError | AttributeError):
        raise answer
    if isinstance(answer, Exception):
        raise _in_words(answer) from None
    return answer


def _in_words(error: Exception) -> KeyFailed:
    """Told apart: locked, denied, no key store at all. The backend's own text stays out: it may hold anything."""
    from keyring.errors import InitError, KeyringLocked  # noqa: PLC0415  # heavy, and loaded by now

    cause = str(error)
    if isinstance(error, KeyringLocked):
        # macOS' backend says "locked" for a person's refusal too (errSecUserCanceled, -128)
        word = "denied access" if "denied" in cause.lower() else "is locked"
        return KeyFailed(f"the desktop key store {word}", hint=_HINT)
    if "-25308" in cause:  # errSecInteractionNotAllowed: over SSH, or from a launchd daemon
        return KeyFailed("the desktop key store is locked: it may not ask here (-25308)", hint=_HINT)
    if "-25293" in cause:  # errSecAuthFailed
        return KeyFailed("the desktop key store denied access (-25293)", hint=_HINT)
    if isinstance(error, InitError):  # SecretService: no collection yet, and nobody to ask whether to make one
        return KeyFailed("the desktop key store is not set up: it has no keyring that could be opened", hint=_HINT)
    if isinstance(error, RuntimeError):  # a backend's way to say that it cannot work here
        return KeyFailed("there is no desktop key store here (no Secret Service or Keychain answers)", hint=_HINT)
    return KeyFailed(f"the desktop key store failed ({type(error).__name__})", hint=_HINT)
