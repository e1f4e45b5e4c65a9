"""A backend of Python's `keyring`, so that whoever asks that gets a token that works. It keeps nothing itself.

    keyring get aixtiv github                       # service "aixtiv": the account is the user name
    keyring get https://pypi.example.org/simple ada # a host that the config names for an account

For whatever else it knows nothing, so that a chain of backends goes on. It is last in such a chain.
"""

import os
import re
from typing import Final

from keyring import errors
from keyring.backend import KeyringBackend
from keyring.credentials import Credential, SimpleCredential

from aixtiv import environment
from aixtiv.client import Client
from aixtiv.failures import AixtivError, Locked, NoAccount, NoDaemon, NotUnderstood, Untrusted
from aixtiv_protocol.names import is_secret

SERVICE: Final = "aixtiv"
USER: Final = "oauth2"  # beside a token where nobody says a name, as git's helper has it

_LIFE: Final = 60  # seconds a token must still have
_WAIT: Final = 10.0  # seconds for a refresh
_HOST: Final = re.compile(r"(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::[0-9]+)?(?:/.*)?|localhost:[0-9]+(?:/.*)?", re.IGNORECASE)
_NOBODYS: Final = (NoAccount, NoDaemon, NotUnderstood, Untrusted, Locked)
"""Where it is not known that the service is an account's."""


class ReadOnly(errors.PasswordSetError, errors.PasswordDeleteError, NotImplementedError):
    """aixtiv keeps no passwords: accounts are signed in with `aixtiv login NAME`"""  # a chain goes on to another one


class Keyring(KeyringBackend):
    priority = 0.1
    """Below every one that keeps what it is given ("a priority of one or greater is recommended")."""

    def get_password(self, service: str, username: str) -> str | None:
        found = self.get_credential(service, username)
        return None if found is None else found.password

    def get_credential(self, service: str, username: str | None) -> Credential | None:
        if service == SERVICE:
            return _of_account(username or "")
        if "://" not in service and not _HOST.fullmatch(service):
            return None
        return _of_host(service if "://" in service else f"https://{service}", username or "")

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002  # keyring's signature
        raise ReadOnly(ReadOnly.__doc__)

    def delete_password(self, service: str, username: str) -> None:  # noqa: ARG002  # keyring's signature
        raise ReadOnly(ReadOnly.__doc__)


def _of_account(name: str) -> Credential | None:
    """A daemon that does not run is started: somebody asked for aixtiv by name."""
    if is_secret(name):
        return None
    try:
        with _client(start=os.environ.get("AIXTIV_NO_START", "") in ("", "0")) as client:
            found = client.token(name, min_ttl=_LIFE, wait=_WAIT)
    except NoAccount:
        return None
    except AixtivError as failure:
        raise _in_keyrings_words(failure) from None
    return SimpleCredential(name or found.account, found.access_token.reveal())


def _of_host(url: str, username: str) -> Credential | None:
    """No daemon is started: any program may ask for any address."""
    try:
        with _client(start=False) as client:
            found = client.host_token(url, username=username, min_ttl=_LIFE, wait=_WAIT)
    except _NOBODYS:
        return None
    except AixtivError as failure:
        raise _in_keyrings_words(failure) from None
    return SimpleCredential(found.username or USER, found.access_token.reveal())


def _client(*, start: bool) -> Client:
    return Client(start=start, agent=environment.agent(os.environ))


def _in_keyrings_words(failure: AixtivError) -> errors.KeyringError:
    sentence = f"{failure.sentence}; run: {failure.hint}" if failure.hint else failure.sentence
    return errors.KeyringLocked(sentence) if isinstance(failure, Locked) else errors.KeyringError(sentence)
