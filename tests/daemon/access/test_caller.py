"""Who calls, as far as /proc says it: real processes of every kind, and never an argument that could be a secret."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixtivd.access.caller import caller_of, program_of
from aixtivd.access.identity import script_among
from aixtivd.access.peer import Peer
from peers.presence import command
from peers.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")

PYTHON = os.path.realpath(sys.executable)
SLEEP = "import time; time.sleep(600)"


@contextmanager
def running(*command: str | Path) -> Iterator[int]:
    """The process itself, not the fork that is about to become it."""
    with subprocess.Popen(command) as process:
        wanted = "\0".join(map(str, command)).encode() + b"\0"
        try:
            until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes() == wanted, "it runs")
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def script(folder: Path) -> Path:
    path = folder / "tool.py"
    path.write_text(SLEEP)
    return path


def test_of_a_program_its_path_is_told() -> None:
    sleep = os.path.realpath("/usr/bin/sleep")
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    with running(sleep, "600") as pid:
        caller = caller_of(Peer(uid=7, pid=pid))
    assert (caller.uid, caller.pid, caller.program, caller.executable, caller.script) == (7, pid, sleep, sleep, "")
    assert before <= caller.since <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_of_an_interpreter_the_script_is_told_and_marked_by_it(script: Path) -> None:
    with running(PYTHON, "-u", script, "--password", "hunter2") as pid:
        assert program_of(pid) == f"{PYTHON} {script}"


@pytest.mark.parametrize(
    ("options", "told"),
    [(["-c", SLEEP], "-c"), (["-Ic", SLEEP], "-Ic"), (["-m", "http.server", "0", "-b", "127.0.0.1"], "-m http.server")],
)
def test_code_on_the_command_line_is_not_told(options: list[str], told: str) -> None:
    with running(PYTHON, *options) as pid:
        assert program_of(pid) == f"{PYTHON} {told}"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-lc", "secret"], "-lc"),
        (["-cl", "secret"], "-cl"),
        (["-ne", "secret"], "-ne"),
        (["--eval=secret"], "--eval"),
        (["--eval", "secret"], "--eval"),
        (["--import=secret\nsecret", "tool.mjs"], "--import"),
        (["-r", "secret"], "-r"),
        (["-u", "-B", "tool.py", "secret"], "tool.py"),
        (["-"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_what_may_stand_behind_an_option_is_not_told(arguments: list[str], told: str) -> None:
    assert script_among(arguments) == told


def test_through_the_command_it_is_its_parent_that_calls(folder: Path) -> None:
    ours = folder / "aixtiv"
    ours.write_text("import sys; print(flush=True); sys.stdin.read()")
    parent = folder / "agent.py"
    parent.write_text(
        f"import subprocess; p = subprocess.Popen([{PYTHON!r}, {str(ours)!r}]); print(p.pid, flush=True); p.wait()"
    )
    with subprocess.Popen([PYTHON, parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdout
        said = agent.stdout.readline() + agent.stdout.readline()  # its number, and that it runs: in either order
        pid = int(said)
        caller = caller_of(Peer(uid=0, pid=pid))
        agent.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    assert (caller.pid, caller.parent, caller.program) == (pid, agent.pid, f"{PYTHON} {parent}")


def test_a_program_that_was_replaced_on_disk_still_has_its_path(folder: Path) -> None:
    copy = folder / "tool"
    copy.write_bytes(Path("/usr/bin/sleep").read_bytes())
    copy.chmod(0o700)
    with running(copy, "600") as pid:
        copy.unlink()
        assert program_of(pid) == str(copy)


def test_from_inside_a_user_namespace_callers_are_still_told(script: Path) -> None:
    """As the unit's sandbox makes one: real kernel, real namespace."""
    unshare = command("unshare", package="util-linux")
    with (
        running(PYTHON, script, "--password", "hunter2") as one,
        running(os.path.realpath("/usr/bin/sleep"), "600") as two,
    ):
        asked = ", ".join(f"program_of({pid})" for pid in (one, two, 2**22 + 1))
        look = f"from aixtivd.access.caller import program_of; print({asked}, sep=';')"
        ran = subprocess.run(
            [unshare, "--user", PYTHON, "-c", look],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    if ran.returncode and "unshare" in ran.stderr:
        pytest.skip(f"no user namespaces here: {ran.stderr.strip()}")
    assert ran.stdout == f"{PYTHON} {script}?;{os.path.realpath('/usr/bin/sleep')}?;\n", ran.stderr


@pytest.mark.parametrize("pid", [0, 2**22 + 1, -1])
def test_what_cannot_be_found_out_stays_empty(pid: int) -> None:
    caller = caller_of(Peer(uid=7, pid=pid))
    assert (caller.uid, caller.pid, caller.program, caller.parent) == (7, pid, "", 0)


async def test_it_is_asked_in_the_loop() -> None:
    """As the listener does, for each connection: the guard against blocking calls knows this one (conftest.py)."""
    assert caller_of(Peer(uid=7, pid=os.getpid())).program.startswith(PYTHON)
