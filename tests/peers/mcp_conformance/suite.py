"""The official MCP conformance suite as a process: a scenario, played against `aixtiv mcp` on a throw-away machine."""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from peers.machine import Machine
from peers.presence import absent, why_no_node

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent.parent
RELEASED: Final = "conformance"  # 0.1.16
NEXT: Final = "conformance-next"  # what tests the specification of 2026-07-28
BROWSER: Final = "curl --silent --location --max-time 30 %s"  # says yes to everything, for a server that asks nothing
_PATIENCE: Final = 45_000  # milliseconds, on a machine that may be busy


class Outcome(Struct, frozen=True):
    """What the suite found, and what the client was told."""

    passed: bool  # the suite's own verdict
    wrong: tuple[str, ...]  # its failures and warnings
    checks: tuple[str, ...]  # the ids of all that it looked at
    said: dict[str, Any]  # by the client (client.py); empty where it broke
    log: str  # of suite, client and daemon

    @property
    def asked(self) -> int:
        """How often somebody was sent to the authorization endpoint."""
        return self.checks.count("authorization-request")


def play(machine: Machine, scenario: str, *options: str, suite: str = RELEASED, version: str = "") -> Outcome:
    """`options`: of the client. `version`: of the specification, where it is not the scenario's own."""
    if why := why_not():
        absent(why)
    with tempfile.TemporaryDirectory() as results:
        ran = subprocess.run(
            [shutil.which("node") or "node", *_program(suite), "client", "--scenario", scenario]
            + ["--command", " ".join([sys.executable, "-m", "peers.mcp_conformance.client", *options])]
            + ["--timeout", str(_PATIENCE), "--output-dir", results]
            + (["--spec-version", version, "--force"] if version else []),
            env=machine.environ | {"PYTHONPATH": str(TESTS), "BROWSER": BROWSER},
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        return _read(Path(results), ran, machine.log)


def _read(results: Path, ran: "subprocess.CompletedProcess[str]", log: str) -> Outcome:
    found = next(results.rglob("checks.json"), None)
    assert found, f"the suite did not play: {ran.stderr}"
    checks = json.loads(found.read_text())
    said = found.with_name("stdout.txt").read_text()
    return Outcome(
        passed=ran.returncode == 0,
        wrong=tuple(f"{it['id']}: {it['description']}" for it in checks if it["status"] in ("FAILURE", "WARNING")),
        checks=tuple(it["id"] for it in checks),
        said=json.loads(said) if said.startswith("{") else {},
        log=f"{ran.stderr}\n{found.with_name('stderr.txt').read_text()}\n{log}",
    )


def _program(suite: str) -> list[str]:
    return ["--import", "./node20.mjs", f"node_modules/{suite}/dist/index.js"]


@cache
def scenarios(suite: str) -> frozenset[str]:
    """The names of all client scenarios that this suite has."""
    if why := why_not():
        absent(why)
    program = [shutil.which("node") or "node", *_program(suite), "list", "--client"]
    listed = subprocess.run(program, cwd=HERE, capture_output=True, text=True, check=True).stdout
    return frozenset(line.split()[1] for line in listed.splitlines() if line.startswith("  - "))


def why_not() -> str:
    """A sentence that says what the suite lacks here; empty where it can be played."""
    if why := why_no_node("npm's MCP conformance suite"):
        return why
    if not all((HERE / "node_modules" / suite).is_dir() for suite in (RELEASED, NEXT)):
        return "npm's MCP conformance suite is not installed (make peer)"
    return ""
