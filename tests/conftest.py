"""What every test has: a short folder (socket paths are short), and a guard against blocking calls in the loop."""

import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy, so no example has a deadline of its own: pytest's timeout is the guard.
settings.register_profile("aixtiv", deadline=None, print_blob=True)
settings.load_profile("aixtiv")

# A shell starts what runs in its background with Ctrl-C ignored, and that is passed on: commands in tests would ignore
# it too. A handler of ours is not passed on, so they begin with the ordinary one.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A 0700 folder whose path is short enough for a socket: pytest's tmp_path can be too deep."""
    path = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the daemon wrote, under a failure of a test that had one on its machine."""
    report = yield
    log = getattr(getattr(item, "funcargs", {}).get("machine"), "log", "")
    if report.failed and log:
        report.sections.append(("the daemon's log", log))
    return report
