"""One throw-away machine for each test here: real processes on it, and the real oidc-provider opposite."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.desk import Desk, desk, shared_desk
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


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    """A desk of its own, with nobody signed in."""
    with desk(folder) as at:
        yield at


@pytest.fixture(scope="module")
def shared() -> Iterator[Desk]:
    """Somebody signed in, and the daemon running: for all the tests that leave it so."""
    with shared_desk() as at:
        yield at


@pytest.fixture
def signed_in(shared: Desk) -> Iterator[Desk]:
    shared.renew()
    before = set(shared.machine.home.iterdir())
    yield shared
    for path in set(shared.machine.home.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
