"""One throw-away machine for each test here: real processes on it, and the real oidc-provider opposite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.machine import Machine
from peers.provider import Provider, oidc_provider


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    """With a daemon that runs."""
    with Machine(folder) as machine:
        yield machine.start()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Tokens live an hour: nothing refreshes by itself."""
    with oidc_provider() as provider:
        yield provider
        assert not provider.seen("defect")
