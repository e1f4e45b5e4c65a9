"""A throw-away machine without a daemon yet, an authorization server that can fail in every way, and a small disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.authority.process import Running, authorization_server
from peers.disks import SmallDisk, small_disk
from peers.machine import Machine


@pytest.fixture(scope="session")
def one_server() -> Iterator[Running]:
    with authorization_server() as server:
        yield server


@pytest.fixture
def server(one_server: Running) -> Running:
    """As new: it rotates, punishes reuse, gives tokens for an hour, and the sky is calm."""
    one_server.renew()
    return one_server


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        yield machine


@pytest.fixture
def disk(folder: Path, machine: Machine) -> Iterator[SmallDisk]:
    """Holds the machine's store, and nothing else of it."""
    with small_disk(folder) as disk:
        machine.environ["XDG_STATE_HOME"] = str(disk.home)
        yield disk
        if machine.daemon and machine.daemon.poll() is None:
            machine.kill()
