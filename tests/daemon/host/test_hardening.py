"""What the process gives up at its start, asked of a process that did."""

import json
import os
import resource
import subprocess
import sys
from typing import Any

import pytest

from aixtivd.host.hardening import ENOUGH_FILES

SCRIPT = """
import ctypes, json, os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from aixtivd.host.hardening import harden
harden()
print(json.dumps({{
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "umask": os.umask(0),
}}))
"""
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def hardened(soft: int, hard: int) -> dict[str, Any]:
    script = SCRIPT.format(soft=soft, hard=hard)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    facts: dict[str, Any] = json.loads(ended.stdout)
    return facts


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_no_core_no_ptrace_and_files_for_us_alone() -> None:
    facts = hardened(256, HARD)
    assert (facts["dumpable"], facts["core"], facts["umask"]) == (0, [0, 0], 0o077)


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [(256, HARD, min(HARD, ENOUGH_FILES)), (256, 1024, 1024), (ENOUGH_FILES + 1, HARD, ENOUGH_FILES + 1)],
)
def test_descriptors_are_raised_as_far_as_wanted_and_allowed_and_never_lowered(soft: int, hard: int, then: int) -> None:
    assert hardened(soft, hard)["files"] == [then, hard]


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads anybody's memory: so another user has to try")
def test_another_process_of_the_same_user_cannot_look_into_it() -> None:
    """/proc/PID/environ asks for the same right (PTRACE_MODE_READ) as everything that shows a process's inside."""
    script = """
import ctypes, os, sys
from aixtivd.host.hardening import harden
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after an exec: setuid itself clears it
if sys.argv[1] == "hardened":
    harden()
child = os.fork()
if child == 0:
    try:
        open(f"/proc/{os.getppid()}/environ", "rb").close()
    except PermissionError:
        os._exit(1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    tries = [
        subprocess.run([sys.executable, "-c", script, how], capture_output=True, text=True, check=True).stdout.strip()
        for how in ("as it is", "hardened")
    ]
    assert tries == ["0", "1"]
