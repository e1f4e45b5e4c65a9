"""What an import costs: the command's fast lane (D3) may import these two modules and pays for nothing else."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
before = set(sys.modules)
import {module}
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        ("aixtiv_protocol", {"aixtiv_protocol"}),
        ("aixtiv_protocol.where", {"aixtiv_protocol", "aixtiv_protocol.where"}),
    ],
)
def test_the_fast_lanes_imports_load_nothing_but_themselves(module: str, loaded: set[str]) -> None:
    script = SCRIPT.format(module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == loaded


def test_the_whole_protocol_loads_no_socket_no_event_loop_and_no_openssl() -> None:
    script = SCRIPT.format(module="aixtiv_protocol.codec")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"socket", "asyncio", "ssl", "_ssl", "_hashlib", "click", "rich"} & set(done.stdout.split())
