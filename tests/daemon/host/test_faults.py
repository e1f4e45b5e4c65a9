"""A fault point kills the process, at the named place and time only."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
from aixtivd.host.faults import point
for number in (1, 2, 3):
    point("before")
    print(number, flush=True)
    point("after")
"""


@pytest.mark.parametrize(
    ("fault", "printed", "status"),
    [
        ("", "1 2 3", 0),
        ("elsewhere", "1 2 3", 0),
        ("bef", "1 2 3", 0),
        ("before", "", -signal.SIGKILL),
        ("after", "1", -signal.SIGKILL),
        ("after:1", "1", -signal.SIGKILL),
        ("before:2", "1", -signal.SIGKILL),
        ("after:3", "1 2 3", -signal.SIGKILL),
        ("after:4", "1 2 3", 0),
    ],
)
def test_the_process_dies_exactly_where_the_environment_says(fault: str, printed: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"AIXTIVD_FAULT": fault}, capture_output=True, text=True, check=False
    )
    assert (ended.stdout.split(), ended.returncode) == (printed.split(), status)
