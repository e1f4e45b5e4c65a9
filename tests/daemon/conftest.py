"""The daemon's tests: whatever blocks the loop inside the daemon's code fails the test."""

import logging
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from aixtivd import log


@pytest.fixture(autouse=True)
def no_log_of_another_test() -> Iterator[None]:
    """A handler that `log.to_stderr` left would write asyncio's slow callbacks to a stderr that was another test's."""
    yield
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if not isinstance(one.formatter, log._Lines)]


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Blocking disk, socket, lock and sleep calls raise BlockingError where a loop runs and `aixtivd` called."""
    with blockbuster_ctx("aixtivd") as guard:
        for call in ("os.readlink", "os.read"):  # of /proc, which is no disk
            readers = {"identity_of", "_executable", "_our_mounts", "_read"}
            guard.functions[call].can_block_in("aixtivd/access/identity.py", readers)
        yield
