"""What the tests of key sources start from."""

from collections.abc import Iterator

import pytest

from peers.keystores import Willing


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key store, no credential, nothing remembered."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    Willing.kept.clear()
    yield
    Willing.kept.clear()
