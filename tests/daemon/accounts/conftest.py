"""The accounts of a daemon in this process (peers/house.py), in the test's own folder."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from peers.clock import FakeClock
from peers.house import House, Opener, opened


@pytest.fixture
def house(folder: Path) -> Opener:
    """`async with house() as h`; a second one in the same test is a restart."""

    def open_house(
        clock: FakeClock | None = None, *, real: bool = False, **config: object
    ) -> AbstractAsyncContextManager[House]:
        return opened(folder, clock or FakeClock(), real=real, **config)

    return open_house
