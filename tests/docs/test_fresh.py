"""The README's five commands, on a machine where nothing of ours was before: real pipx, a real systemd, no desktop."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from docs.pages import ROOT, Opposite, blocks
from peers import person
from peers.booted import Booted, missing
from peers.machine import Ran
from peers.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "never"),
]

FIRST: Final = "$ pipx install .\n$ "
FIVE: Final = [
    line.removeprefix("$ ")
    for _, text in blocks("README.md", "console")
    if text.startswith(FIRST)
    for line in text.splitlines()
]
PIP: Final = "pip install -qq pipx"


class Fresh:
    """With pipx, as Debian's package has it, and a checkout; whoever sits there is not root."""

    def __init__(self, machine: Booted) -> None:
        self._machine = machine
        self._checkout = machine.files / "aixtiv"
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in tracked.splitlines():
            if not name.startswith("tests/") and (ROOT / name).exists():
                (self._checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self._checkout / name)
        subprocess.run(["chown", "-R", str(machine.uid), self._checkout], check=True)

    def types(self, line: str, *, asides: str = "") -> Ran:
        """In the checkout, with the variables of a login shell, and those of this machine that say where PyPI is."""
        home = "/home/daemon"
        settings = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        ).stdout
        found = dict(re.findall(r"^(?:global\.|:env:\.)([\w-]+)='(.*)'$", settings, re.MULTILINE))
        pip = [f"PIP_{name.upper().replace('-', '_')}={value}" for name, value in found.items()]
        path = f"PATH={home}/.local/bin:{home}/pipx/bin:/usr/bin:/bin"
        return self._machine.run("env", path, *pip, "bash", "-c", f"cd ~/aixtiv && {line} {asides}")

    def prepare(self) -> None:
        """What `sudo apt install pipx git` does on Debian."""
        done(self.types(f"{sys.executable} -m venv ~/pipx && ~/pipx/bin/{PIP}"))


@pytest.fixture
def fresh(folder: Path) -> Iterator[Fresh]:
    with Booted(folder) as machine:
        yield Fresh(machine)


def done(ran: Ran) -> str:
    assert ran.code == 0, f"{ran.out}\n{ran.err}"
    return ran.out


def test_five_commands_lead_to_a_token_that_survives_a_restart(fresh: Fresh, servers: Opposite, folder: Path) -> None:
    fresh.prepare()
    install, service, login, restart, token = FIVE
    assert install == "pipx install ."
    done(fresh.types(install))
    done(fresh.types(service))

    said = folder / "home/said"
    with ThreadPoolExecutor(1) as beside:
        line = login.replace("https://id.example.org", servers.server.issuer).replace(" ID ", " native ")
        waiting = beside.submit(fresh.types, line, asides="2> ~/said")
        until(
            lambda: waiting.done() or re.search(r"^[A-Z0-9]+-[A-Z0-9]+$", read(said), re.MULTILINE), "a code is shown"
        )
        (code,) = re.findall(r"^[A-Z0-9]+-[A-Z0-9]+$", read(said), re.MULTILINE)
        person.type_code(f"{servers.server.issuer}/device", code)
        assert "signed in to work" in done(waiting.result())

    before = fresh.types("aixtiv token work")
    done(fresh.types(restart))
    assert done(fresh.types(token)) == done(before)
    assert servers.server.active(done(before).strip(), client="native")
    status = fresh.types("aixtiv status --json").json()
    assert (status["manager"], status["locked"]) == ("systemd", False)
    assert not os.environ.get("AIXTIV_SOCKET")


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
