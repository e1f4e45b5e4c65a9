"""What /proc says of a process, and a mark by which it is known again: real processes, real namespaces."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aixtivd.access.identity import cgroup_of, identity_of, image_of, uid_of, unit_of
from peers.programs import led, ran_apart
from peers.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")

NOBODY = 2**22 + 1  # above the greatest number that there can be
USER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("/system.slice/cron.service", "cron.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/user.slice/user-1000.slice/session-2.scope", "session-2.scope"),
        (f"{USER}/app.slice/backup.service", "backup.service"),
        (f"{USER}/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "vte-spawn-1.scope"),
        (f"{USER}/init.scope", "init.scope"),
        (USER, "user@1000.service"),
        (f"{USER}/app.slice/app-my\\x2dtool.service", "app-my\\x2dtool.service"),
        ("/system.slice/_memory.service", "memory.service"),
        ("/", ""),
        ("", ""),
        ("/docker/4f1c", ""),
        ("/docker/4f1c/backup.service", ""),
        ("/../../app.slice/backup.service", ""),
        ("/user.slice", ""),
    ],
)
def test_the_unit_is_the_one_below_the_slices(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


@pytest.mark.parametrize("inner", ["backup.service", "payload/backup.service", "user@1000.service/backup.service"])
def test_a_group_that_a_unit_makes_below_itself_is_no_unit_whatever_its_name(inner: str) -> None:
    assert unit_of(f"{USER}/app.slice/tool.service/{inner}") == "tool.service"
    assert unit_of(f"{USER}/session.slice/tool.scope/{inner}") == "tool.scope"


def test_what_is_no_unit_below_a_users_manager_is_the_managers() -> None:
    assert unit_of(f"{USER}/app.slice/backup.service (deleted)") == "user@1000.service"
    assert unit_of(f"{USER}/payload/backup.service") == "user@1000.service"


def test_the_control_group_is_the_one_of_version_2() -> None:
    told = Path("/proc/self/cgroup").read_text().splitlines()
    assert [cgroup_of(os.getpid())] == [line[3:] for line in told if line.startswith("0::")] or [""]


def test_an_exec_has_another_mark_even_of_the_same_program(folder: Path) -> None:
    with led(folder) as tool:
        before = image_of(tool.pid)
        tool.says(f"os.execv({sys.executable!r}, [{sys.executable!r}, {str(folder / 'tool.py')!r}])")
        tool.hears("here")
        after = image_of(tool.pid)
    assert before is not None
    assert after is not None
    assert (before.parent, before.session) == (after.parent, after.session) == (os.getpid(), os.getsid(0))
    assert before.mark != after.mark
    assert before.mark.split()[0] == after.mark.split()[0], "it is the same process"


def test_a_mark_stays_while_a_process_lives_forks_and_calls_itself_something_else(folder: Path) -> None:
    with led(folder) as tool:
        before = image_of(tool.pid)
        tool.do(
            "import ctypes; ctypes.CDLL(None).prctl(15, b'other (name) 7', 0, 0, 0)",  # PR_SET_NAME
            "subprocess.run(['/bin/true'])",
            "os.fork() or os._exit(0)",
        )
        assert image_of(tool.pid) == before


def test_whoever_has_ended_has_no_image_though_nobody_has_heard_of_it_yet(folder: Path) -> None:
    with led(folder) as tool:
        tool.says("os._exit(0)")
        os.waitid(os.P_PID, tool.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{tool.pid}/stat").exists(), "a zombie"
        assert image_of(tool.pid) is None


@pytest.mark.parametrize("pid", [NOBODY, -1])
def test_of_nobody_nothing_is_said(pid: int) -> None:
    assert image_of(pid) is None
    assert (identity_of(pid).program, cgroup_of(pid), uid_of(pid)) == ("", "", -1)


def test_whoever_may_not_be_looked_into_has_no_executable(folder: Path) -> None:
    """Not dumpable, as the daemon itself is. Its mark then holds its name."""
    if _may_look_into_everything():
        pytest.skip("root may look into everything")
    with led(folder) as tool:
        tool.do("import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")  # PR_SET_DUMPABLE
        assert identity_of(tool.pid).executable == ""
        image = image_of(tool.pid)
    assert image is not None
    assert "(python" in image.mark


def _may_look_into_everything() -> bool:
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return bool(int(status["CapEff"], 16) >> 19 & 1)  # CAP_SYS_PTRACE, capability.h


def test_a_path_in_a_file_system_of_its_own_is_not_believed(folder: Path) -> None:
    """A sandboxed program puts another one at the path of a trusted one, for itself alone: no right is needed."""
    trusted, evil = folder / "trusted", folder / "evil"
    trusted.write_bytes(Path("/usr/bin/true").read_bytes())
    evil.write_bytes(Path("/usr/bin/sleep").read_bytes())
    evil.chmod(0o700)
    code = (
        "import os, subprocess, sys\n"
        f"subprocess.run(['mount', '--bind', {str(evil)!r}, {str(trusted)!r}], check=True)\n"
        f"sleeping = subprocess.Popen([{str(trusted)!r}, '600'])\n"
        "print(sleeping.pid, flush=True); sys.stdin.read(); sleeping.kill()\n"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", code]
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as apart:
        assert apart.stdout
        assert apart.stderr
        if not (said := apart.stdout.readline()):
            pytest.skip(f"no such namespaces here: {apart.stderr.read().decode().strip()}")
        pid = int(said)
        until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(bytes(trusted)), "it runs")
        assert Path(f"/proc/{pid}/exe").readlink() == trusted, "what the kernel says is not enough"
        assert identity_of(pid).executable == ""
        assert identity_of(pid).program == f"{trusted}?"
        apart.communicate()


def test_from_inside_a_sandbox_executables_are_unknown_and_an_exec_is_noticed_by_name(folder: Path) -> None:
    """What the shipped unit has: a user namespace of the daemon's own."""
    with led(folder) as tool:
        asked = f"from aixtivd.access.identity import *; print(identity_of({tool.pid}), image_of({tool.pid}).mark)"
        first = ran_apart(asked, unshare=())
        tool.becomes("/usr/bin/sleep", "600")
        second = ran_apart(asked, unshare=())
    assert "executable=''" in first
    assert f"script='{folder / 'tool.py'}'" in first
    assert "(python" in first
    assert "executable=''" in second
    assert "(sleep)" in second


def test_a_path_that_is_no_utf8_can_be_said_on_the_wire(folder: Path) -> None:
    odd = os.fsencode(folder) + b"/t\xffol"
    Path(os.fsdecode(odd)).write_bytes(Path("/usr/bin/sleep").read_bytes())
    os.chmod(odd, 0o700)  # noqa: PTH101  # a path in bytes
    with subprocess.Popen([odd, "600"]) as tool:
        until(lambda: Path(f"/proc/{tool.pid}/cmdline").read_bytes().startswith(odd), "it runs")
        executable = identity_of(tool.pid).executable
        tool.kill()
    assert executable == f"{folder}/t\ufffdol"
    executable.encode()
