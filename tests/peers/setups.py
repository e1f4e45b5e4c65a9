"""`aixtiv setup` in tests: done without a question, its results used as a tool would, and the home compared."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from peers.desk import Desk
from peers.machine import SCRIPTS, Machine, Ran
from peers.ports import free_port

AIXTIV: Final = f"{SCRIPTS}/aixtiv"
PROMPT: Final = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def home(machine: Machine) -> dict[str, tuple[int, bytes]]:
    """Every file and folder of the person's, with its mode; the store and the logs beside it live on."""
    store = machine.state
    paths = [
        path for path in machine.home.rglob("*") if store not in (path.parent, *path.parents) or "setup" in path.parts
    ]
    return {
        str(path.relative_to(machine.home)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in paths
    }


def setup(at: Desk, *words: str, **environ: str) -> Ran:
    """It must succeed. At a port of its own: the usual one may be another test's."""
    if not {"--port", "--undo"}.intersection(words) and not port_of(at):
        words = (*words, "--port", str(free_port()))
    ran = at.machine.run("setup", *words, "--yes", **environ)
    assert ran.code == 0, ran.err
    return ran


def port_of(at: Desk) -> int:
    port: int = at.machine.run("status", "--json").json()["gateway_port"]
    return port


def ask(base_url: str, ticket: str) -> tuple[int, Any]:
    """A message, as a tool with those two settings asks it."""
    headers = {
        "authorization": f"Bearer {ticket}",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    request = urllib.request.Request(f"{base_url}/v1/messages", json.dumps(PROMPT).encode(), headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.loads(refusal.read())


def tickets(at: Desk) -> list[str]:
    ran = at.machine.run("ticket", "list", "--json")
    return [ticket["name"] for ticket in ran.json()["tickets"]]


SETTINGS: Final = '{\n    "model": "opus",\n    "permissions": {"allow": ["Bash(ls:*)"]},\n    "env": {"A": "1"}\n}\n'


def claude_settings(at: Desk, text: str = SETTINGS) -> Path:
    path = at.machine.home / ".claude/settings.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
