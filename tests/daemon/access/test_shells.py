"""Real shells and their subshells: whose a command is that stands in `$(…)`, in a pipe, or behind a redirect."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aixtivd.access import shells
from peers.presence import command
from peers.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")

ASK = shlex.join(
    [sys.executable, "-c", "import os; from aixtivd.access.shells import shell_of; print(shell_of(os.getppid()))"]
)


def ran(shell: str, script: str) -> list[str]:
    """Its words; the shell is told by its own number, which stands first."""
    done = subprocess.run([shell, "-c", f"echo $$; {script}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize(
    "script",
    [
        f"{ASK}; true",
        f"T=$({ASK} 2>/dev/null); echo $T",
        f"T=$({ASK} | cat); echo $T",
        f"T=$(true; {ASK} 2>/dev/null; true); echo $T",
        f"( ( {ASK}; true ); true ); true",
        f"{{ {ASK}; true; }} | cat",
    ],
)
def test_a_command_in_a_subshell_is_the_shells_own(shell: str, script: str) -> None:
    itself, asked = ran(shell, script)
    assert asked == itself


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_shell_that_a_shell_started_is_another(shell: str, folder: Path) -> None:
    script = folder / "script.sh"
    script.write_text(f"#!/usr/bin/env {shell}\necho $$\nT=$({ASK} 2>/dev/null); echo $T\n")
    script.chmod(0o755)
    inner = f"echo $$; T=$({ASK} 2>/dev/null); echo $T"
    for typed in (str(script), f"{shell} {script}", f"{shell} -c {shlex.quote(inner)}"):
        outer, itself, asked = ran(shell, f"{typed}; true")
        assert asked == itself != outer


def test_a_fork_of_what_is_no_shell_is_its_own() -> None:
    code = (
        "import os, shlex, subprocess\n"
        "if os.fork():\n    os.wait()\n"
        f"else:\n    print(os.getpid(), flush=True)\n    subprocess.run(shlex.split({ASK!r}))"
    )
    forked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    itself, asked = forked.stdout.split()
    assert asked == itself


def test_also_at_a_terminal(folder: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PS1": "$ ", "HOME": str(folder)}
    with Terminal(["/bin/bash", "--norc", "-i"], environ, folder) as terminal:
        terminal.type(f"T=$({ASK} 2>/dev/null); [ $T = $$ ] && echo same-$((40+2))\r")
        assert "same-42" in terminal.until("same-42")
        terminal.type("exit\r")
        assert terminal.ended() == 0


def test_also_from_inside_a_user_namespace() -> None:
    """As the unit's sandbox makes one, where less is told of a process."""
    unshare = command("unshare", package="util-linux")
    if subprocess.run([unshare, "--user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    itself, asked = ran("bash", f"T=$({unshare} --user {ASK} 2>/dev/null); echo $T")
    assert asked == itself


def test_what_is_hidden_or_gone_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "program_of", lambda _: "bash?")
    assert shells.shell_of(0x7FFFFFFF) == 0x7FFFFFFF
