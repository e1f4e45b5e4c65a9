"""What `aixtiv doctor` says of a machine, and two faults that are planted on it more than once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers.machine import Machine

FILE_KEY = '[vault]\nkey = "file"\n'
OLDER = "import aixtiv_protocol; aixtiv_protocol.VERSION = '0.0.1'; from aixtivd.app import main; main()"


def found(machine: Machine, *words: str, **environ: str) -> dict[str, dict[str, Any]]:
    """What the doctor finds, by name; of several with one name a wrong one."""
    ran = machine.run("doctor", "--json", *words, **environ)
    told = json.loads(ran.out)
    assert ran.code == (0 if told["ok"] else 1), ran.err
    return {one["name"]: one for one in sorted(told["findings"], key=lambda one: one["verdict"] == "wrong")}


def wrong(machine: Machine, *words: str, **environ: str) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in found(machine, *words, **environ).items() if one["verdict"] == "wrong"}


def old_file(machine: Machine, **api: Any) -> Path:
    path = machine.config.parent / "api-config.json"
    path.write_text(json.dumps({"claude": {"api": api}}, indent=2) + "\n")
    path.chmod(0o600)
    return path


@contextmanager
def older_daemon(machine: Machine) -> Iterator[None]:
    machine.stop()
    with machine.log_file.open("ab") as log:
        machine.daemon = subprocess.Popen(
            [sys.executable, "-c", OLDER], env=machine.environ, cwd=machine.home, stdout=log, stderr=log
        )
    while not machine.answers():
        assert machine.daemon.poll() is None, machine.log
        os.sched_yield()
    yield
