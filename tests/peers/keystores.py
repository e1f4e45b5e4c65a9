"""Desktop key stores in every mood, as `keyring` backends: a test names one by its dotted name."""

import threading
from typing import ClassVar

from keyring.backend import KeyringBackend
from keyring.errors import InitError, KeyringLocked, PasswordSetError


class Willing(KeyringBackend):
    """Remembers, for as long as this process lives. `kept` is emptied by the test that uses it."""

    priority: ClassVar[float] = 5
    kept: ClassVar[dict[tuple[str, str], str]] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Locked(Willing):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Failed to unlock the collection!")  # SecretService's own words

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


class Denied(Willing):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Can't get password from keychain: (-128, 'Keychain Access Denied')")  # macOS' own words

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


class NotAllowedToAsk(Willing):
    def get_password(self, service: str, username: str) -> str | None:
        raise PasswordSetError("Can't store password on keychain: (-25308, 'Unknown Error')")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


class Absent(Willing):
    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("Unable to initialize SecretService")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


class NotSetUp(Willing):
    def get_password(self, service: str, username: str) -> str | None:
        raise InitError("Failed to create the collection: Prompt dismissed..")  # SecretService's own words

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


class Forgetful(Willing):
    """Takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Hanging(Willing):
    """Waits for a person who is not there."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        threading.Event().wait()
