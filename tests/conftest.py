"""What every test has: a short folder (socket paths are short), and a guard against blocking calls in the loop."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A 0700 folder whose path is short enough for a socket: pytest's tmp_path can be too deep."""
    path = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
