"""The real daemon as a process among others: what can be seen of it, what it leaves behind, what its children get."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.machine import Machine
from peers.presence import command
from peers.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's /proc")

SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-hunter2",
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "XDG_MY_PASSWORD": "hunter2",
    "CREDENTIALS_DIRECTORY": "/run/hunter2",
    "NOTIFY_SOCKET": "/run/nowhere",
}


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    """Without a daemon: each test here starts its own in its own way."""
    with Machine(folder) as machine:
        yield machine


def ordinary() -> list[str]:
    """What makes of root, who may look into everything, a user like any other; with that all of them run."""
    if os.geteuid() != 0:
        return []
    none = ",".join(f"-{right}" for right in ("sys_ptrace", "perfmon", "sys_admin"))
    return [command("setpriv", package="util-linux"), f"--bounding-set={none}", f"--inh-caps={none}"]


def looked_into(pid: int) -> list[str]:
    """What of its inside another program of the same user can read."""
    inside = ("environ", "maps", "auxv", "mem", "exe", "fd/1")
    line = (
        'for what; do (readlink "/proc/$0/$what" || head -c 1 "/proc/$0/$what") >/dev/null 2>&1 && echo "$what"; done'
    )
    ran = subprocess.run(
        [*ordinary(), "sh", "-c", line, str(pid), *inside], capture_output=True, text=True, check=False
    )
    return ran.stdout.split()


def test_nobody_of_the_same_user_can_look_into_it_and_its_files_are_for_it_alone(machine: Machine) -> None:
    with subprocess.Popen([*ordinary(), "sleep", "600"]) as other:
        inside = {"environ", "maps", "exe", "fd/1"}
        until(lambda: inside <= set(looked_into(other.pid)), "into an ordinary program it can look, once that runs")
        other.kill()
    spawn(machine, [*ordinary(), aixtivd(machine)])
    assert looked_into(machine.pid) == []
    status = Path(f"/proc/{machine.pid}/status").read_text()
    assert "Umask:\t0077" in status
    limits = Path(f"/proc/{machine.pid}/limits").read_text().splitlines()
    (core,) = (line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT])
def test_a_crash_leaves_no_core_file(machine: Machine, how: signal.Signals) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern != "core":
        pytest.skip(f"core files go elsewhere here: {pattern}")
    assert cores(machine, "sleep 600 & kill -ABRT $!; wait $!"), "another program would have left one"
    spawn(machine, [sys.executable, "-c", _AS_USUAL, aixtivd(machine)])
    machine.signal(how)
    assert machine.ended() == -how
    assert cores(machine, "true") == []


_AS_USUAL = """
import os, resource, signal, sys
for one in (signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV):  # what a shell runs with `&` ignores SIGQUIT
    signal.signal(one, signal.SIG_DFL)
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
os.execv(sys.argv[1], sys.argv[1:])
"""


def cores(machine: Machine, line: str) -> list[Path]:
    """What core files lie there after that; they are taken away."""
    subprocess.run(["sh", "-c", f"ulimit -c unlimited; {line}"], cwd=machine.home, check=False, capture_output=True)
    found = list(machine.home.glob("core*"))
    for core in found:
        core.unlink()
    return found


def test_what_it_runs_gets_three_descriptors_few_variables_and_its_umask(machine: Machine) -> None:
    """However much it was started with: a service manager's sockets and words, and whatever was in the shell."""
    seen, report = machine.home / "seen", machine.home / "bin" / "report"
    report.parent.mkdir()
    bash = shutil.which("bash") or "/bin/sh"
    report.write_text(
        f"#!{bash}\n(ls /proc/self/fd; echo; env; echo; umask; ulimit -c; ls -l /proc/self/fd) > {seen}\necho a-token\n"
    )
    report.chmod(0o700)
    leaked, held = os.pipe()
    try:
        spawn(machine, [aixtivd(machine)], held, **SECRETS)  # what a careless parent leaves open
        ran = machine.run("login", "tool", "--command", str(report))
        assert ran.code == 0, ran.err
        assert machine.run("token", "tool").out == "a-token\n"
    finally:
        os.close(leaked)
        os.close(held)
    fds, env, rest = seen.read_text().split("\n\n", 2)
    assert [fd for fd in fds.split() if int(fd) > 3] == [], "the fourth is the one by which `ls` looks"
    assert "hunter2" not in env + rest
    names = {line.partition("=")[0] for line in env.splitlines()}
    assert not names & set(SECRETS)
    assert {"HOME", "PATH"} <= names
    assert rest.splitlines()[:2] == ["0077", "0"]


def aixtivd(machine: Machine) -> str:
    return shutil.which("aixtivd", path=machine.environ["PATH"]) or "aixtivd"


def spawn(machine: Machine, words: list[str], *held: int, **environ: str) -> None:
    """A daemon that was started with all of that: descriptors that nobody closed, too."""
    with machine.log_file.open("ab") as log:
        machine.daemon = subprocess.Popen(
            words,
            env=machine.environ | environ,
            cwd=machine.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=held,
        )
    until(machine.answers, "the daemon listens")
