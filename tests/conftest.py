"""What every test has: a short folder (socket paths are short), and a guard against blocking calls in the loop."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy, so no example has a deadline of its own: pytest's timeout is the guard.
settings.register_profile("aixtiv", deadline=None, print_blob=True)
settings.load_profile("aixtiv")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A 0700 folder whose path is short enough for a socket: pytest's tmp_path can be too deep."""
    path = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
