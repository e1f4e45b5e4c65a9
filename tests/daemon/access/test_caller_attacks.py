"""Who tries to pass for another program: reused numbers, an exec after the connect, orphans, a connection passed on."""

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aixtivd.access import identity
from aixtivd.access.caller import Caller, caller_of, described, unchanged, unknown_of
from aixtivd.access.peer import Peer, peer_of
from peers.programs import Led, led, listening, ran_apart
from peers.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")

PYTHON = os.path.realpath(sys.executable)
Door = tuple[socket.socket, str]


@pytest.fixture
def door(folder: Path) -> Iterator[Door]:
    with listening(folder) as door:
        yield door


@pytest.fixture
def tool(folder: Path) -> Iterator[Led]:
    with led(folder) as tool:
        yield tool


def let_in(door: Door, whom: Led) -> tuple[socket.socket, Caller]:
    whom.do(f"connect({door[1]!r})")
    return (connection := door[0].accept()[0]), caller_of(peer_of(connection), connection)


def test_who_connected_is_described_and_known_again(door: Door, tool: Led, folder: Path) -> None:
    connection, caller = let_in(door, tool)
    with connection:
        known = (caller.pid, caller.executable, caller.script, caller.program)
        assert known == (tool.pid, PYTHON, str(script := folder / "tool.py"), f"{PYTHON} {script}")
        assert (unchanged(caller), unknown_of(caller)) == (True, "")


def test_an_exec_after_the_connect_is_noticed(door: Door, tool: Led) -> None:
    connection, caller = let_in(door, tool)
    with connection:
        tool.becomes("/usr/bin/sleep", "600")
        assert not unchanged(caller)
        assert caller.executable == PYTHON, "what is said of the conversation stays"


def test_an_exec_of_the_same_program_with_the_same_arguments_is_noticed(door: Door, tool: Led, folder: Path) -> None:
    connection, caller = let_in(door, tool)
    with connection:
        tool.says(f"os.execv({sys.executable!r}, [{sys.executable!r}, {str(folder / 'tool.py')!r}])")
        tool.hears("here")
        assert not unchanged(caller)


def test_an_exec_while_it_is_being_described_is_noticed(door: Door, tool: Led, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark was read of the old program and the path of the new one: they do not go together."""
    told = identity.identity_of

    def after_an_exec(pid: int) -> identity.Identity:
        tool.becomes("/usr/bin/sleep", "600")
        return told(pid)

    monkeypatch.setattr("aixtivd.access.caller.identity_of", after_an_exec)
    connection, caller = let_in(door, tool)
    with connection:
        assert caller.executable == os.path.realpath("/usr/bin/sleep")
        assert not unchanged(caller)


def test_what_it_starts_is_not_it_and_changes_nothing(door: Door, tool: Led) -> None:
    connection, caller = let_in(door, tool)
    with connection:
        tool.do("kept.append(subprocess.Popen(['/usr/bin/sleep', '600']))", "os.fork() or os._exit(0)")
        assert unchanged(caller)
        tool.do("kept[-1].kill()")


def test_who_left_before_it_was_let_in_is_nobody(door: Door, tool: Led) -> None:
    tool.do(f"connect({door[1]!r})")
    tool.ends()
    connection, _ = door[0].accept()
    with connection:
        caller = caller_of(peer_of(connection), connection)
    assert caller == Caller(uid=os.getuid(), pid=tool.pid, since=caller.since)
    assert not unchanged(caller)
    assert "has ended" in unknown_of(caller)


def test_whoever_has_the_number_now_is_not_described_in_its_place(door: Door, tool: Led, folder: Path) -> None:
    """As the kernel shows a number that was given away: the connection is of one process, the number another's."""
    with led(folder, "other.py") as other:
        tool.do(f"connect({door[1]!r})")
        connection, _ = door[0].accept()
        with connection:
            tool.ends()
            caller = caller_of(Peer(uid=os.getuid(), pid=other.pid), connection)
    assert (caller.executable, caller.script, caller.program, caller.mark) == ("", "", "", "")


REUSED = """
import os, socket, time
from pathlib import Path
from aixtivd.access.caller import caller_of, described, unchanged
from aixtivd.access.peer import peer_of

def forked(number, act):
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    assert pid == number, f"{pid} instead of {number}"
    return pid

def connect():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(door.getsockname())
    told.send(b"x")
    go.recv(1)

door = socket.socket(socket.AF_UNIX)
door.bind("\\0reused")
door.listen()
told_here, told = socket.socketpair()
go, go_here = socket.socketpair()
first = forked(4711, connect)
told_here.recv(1)
early, _ = door.accept()
before = caller_of(peer_of(early), early)
print("first", before.pid, bool(before.mark), unchanged(before))
go_here.send(b"x")
os.waitpid(first, 0)
while time.clock_gettime(time.CLOCK_BOOTTIME) - before.since < 0.02:  # the kernel tells starts by hundredths
    os.sched_yield()
second = forked(4711, lambda: (told.send(b"x"), go.recv(1)))
told_here.recv(1)
late = caller_of(peer_of(early), early)
print("second", late.pid, bool(late.mark), unchanged(before), bool(described(4711).mark))
go_here.send(b"x")
"""


def test_a_number_that_the_kernel_gave_to_another_process_describes_nobody() -> None:
    """Really given: in a namespace of numbers of its own, where the next one can be chosen."""
    said = ran_apart(REUSED, unshare=("--pid", "--fork", "--mount-proc"))
    assert said.splitlines() == ["first 4711 True True", "second 4711 False False True"]


def test_an_older_kernel_tells_by_the_number_alone(door: Door, tool: Led, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_SO_PEERPIDFD", 0x7FFF)
    connection, caller = let_in(door, tool)
    connection.close()
    assert caller.executable == PYTHON
    monkeypatch.delattr(os, "pidfd_open")
    connection, caller = let_in(door, tool)
    connection.close()
    assert caller.executable == PYTHON
    tool.ends()
    assert not unchanged(caller)


def test_no_descriptor_stays_open_and_a_child_gets_none(door: Door, tool: Led) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    connection, caller = let_in(door, tool)
    assert unchanged(caller)
    assert described(tool.pid).mark == caller.mark
    connection.close()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_without_a_descriptor_left_nothing_is_known_and_nothing_raised(door: Door, tool: Led) -> None:
    tool.do(f"connect({door[1]!r})")
    connection, _ = door[0].accept()
    with connection:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (connection.fileno() + 1, hard))
        taken: list[int] = []
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            caller = caller_of(peer_of(connection), connection)
            known = unchanged(caller)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in taken:
                os.close(fd)
    assert (caller.pid, caller.executable, caller.mark, known) == (tool.pid, "", "", False)


def test_a_connection_that_was_passed_on_is_still_its_makers(door: Door, tool: Led) -> None:
    """Whoever lends its connection lends its rights, as long as it lives; who got it has no name of its own."""
    connection, caller = let_in(door, tool)
    with connection:
        tool.do("kept.append(subprocess.Popen(['/usr/bin/sleep', '600'], pass_fds=[kept[0].fileno()]))")
        assert caller.script.endswith("tool.py")
        assert unchanged(caller)
        tool.says("print(kept[-1].pid, flush=True); os._exit(0)")
        sleeping = int(tool.hears())
        tool.process.wait()
        try:
            assert not unchanged(caller), "its maker has ended, and nobody else is believed"
            assert caller_of(peer_of(connection), connection).mark == ""
        finally:
            os.kill(sleeping, 9)


# Through the command


AIXTIV = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.recv(1)
"""


@pytest.fixture
def command(folder: Path) -> Path:
    path = folder / "aixtiv"
    path.write_text(AIXTIV)
    return path


def run(command: Path, door: Door) -> str:
    """What a led program does to run it in the background."""
    return f"kept.append(subprocess.Popen([{sys.executable!r}, {str(command)!r}, {door[1]!r}]))"


def accepted(door: Door) -> tuple[socket.socket, Caller]:
    connection, _ = door[0].accept()
    return connection, caller_of(peer_of(connection), connection)


def test_through_the_command_its_parent_counts_and_both_stay_what_they_are(
    door: Door, tool: Led, command: Path, folder: Path
) -> None:
    tool.do(run(command, door))
    connection, caller = accepted(door)
    with connection:
        assert (caller.parent, caller.executable, caller.script) == (tool.pid, PYTHON, str(folder / "tool.py"))
        assert caller.pid != tool.pid
        assert unchanged(caller)
        tool.becomes("/usr/bin/sleep", "600")
        assert not unchanged(caller), "its parent runs another program"


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces")
def test_whoever_calls_itself_aixtiv_in_a_sandbox_is_not_taken_for_its_parent(
    door: Door, tool: Led, command: Path
) -> None:
    """Its executable is nobody's word but its own: anything is at any path in a file system of one's own."""
    apart = f"kept.append(subprocess.Popen(['unshare', '-Urm', {sys.executable!r}, {str(command)!r}, {door[1]!r}]))"
    if subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces here")
    tool.do(apart)
    connection, caller = accepted(door)
    with connection:
        assert caller.executable == ""
        assert caller.program.endswith("?")


def test_an_exec_is_noticed_where_the_kernel_was_told_to_lay_out_all_programs_alike(folder: Path) -> None:
    """`setarch -R`: the same program under another name begins at the very same places."""
    shell = os.path.realpath("/bin/sh")
    one, two = (shutil.copy(shell, folder / name) for name in ("one", "two"))
    script = 'echo here; read x; exec "$0" -c "$S" "$0"'
    environ = {"S": script, "PWD": str(folder), "OLDPWD": "/"}
    started = ["/usr/bin/setarch", "-R", str(one), "-c", script, str(two)]
    with subprocess.Popen(
        started, env=environ, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "here\n"
        before = identity.image_of(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "here\n"
        after = identity.image_of(process.pid)
        process.kill()
    assert before
    assert after
    assert before.mark != after.mark


def test_an_orphan_of_the_command_is_nobodys(door: Door, tool: Led, command: Path) -> None:
    tool.do(run(command, door))
    connection, caller = accepted(door)
    with connection:
        tool.ends()
        assert not unchanged(caller)
        again = described(caller.pid)
        assert (again.pid, again.parent, again.executable, again.script) == (caller.pid, 0, "", "")
        assert again.program.endswith("/aixtiv")
        assert "asks for nobody" in unknown_of(again)
        assert unchanged(again), "as the orphan that it is"


DOUBLE = """
import os, subprocess, sys
if sys.argv[3:] == ["setsid"]:
    os.setsid()
subprocess.Popen([sys.executable, *sys.argv[1:3]])
"""


def test_a_double_fork_does_not_make_a_child_of_whoever_adopts_orphans(
    door: Door, tool: Led, command: Path, folder: Path
) -> None:
    """The trusted program is what the kernel gives the orphan to; it has not started it."""
    evil = folder / "evil.py"
    evil.write_text(DOUBLE)
    tool.do(
        "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)",  # PR_SET_CHILD_SUBREAPER
        f"subprocess.run([{sys.executable!r}, {str(evil)!r}, {str(command)!r}, {door[1]!r}, 'setsid'])",
    )
    connection, caller = accepted(door)
    with connection:
        until(lambda: parent_of(caller.pid) == tool.pid, "it was adopted")
        for told in (caller, described(caller.pid)):
            assert (told.parent, told.executable, told.script) == (0, "", "")


def test_what_a_service_manager_starts_or_adopts_is_nobodys(door: Door, folder: Path, command: Path) -> None:
    manager = folder / "systemd"
    manager.write_bytes(Path("/bin/sh").read_bytes())
    manager.chmod(0o700)
    line = f"{sys.executable} {command} {door[1]}; true"  # two commands: a shell runs the last one in its own place
    with subprocess.Popen([manager, "-c", line]) as process:
        connection, caller = accepted(door)
        with connection:
            assert parent_of(caller.pid) == process.pid
            assert (caller.parent, caller.executable, caller.script) == (0, "", "")


ADOPTED = """
import os, socket, subprocess, sys
from aixtivd.access.caller import caller_of
from aixtivd.access.identity import image_of
from aixtivd.access.peer import peer_of

door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen()
subprocess.run([sys.executable, *sys.argv[3:]])  # and it ends, and leaves the command behind
connection, _ = door.accept()
caller = caller_of(peer_of(connection), connection)
image = image_of(caller.pid)
print(os.getpid(), image.parent, image.session == os.getsid(0), caller.parent, repr(caller.executable))
"""


def test_what_the_first_process_of_all_adopts_is_nobodys(folder: Path, command: Path) -> None:
    """Also where it was left behind in the same session, and whatever the first process is called."""
    evil, path = folder / "evil.py", str(folder / "s.sock")
    evil.write_text(DOUBLE)
    code = f"import sys; sys.argv[1:] = [{path!r}, '-', {str(evil)!r}, {str(command)!r}, {path!r}]\n{ADOPTED}"
    assert ran_apart(code, unshare=("--pid", "--fork", "--mount-proc")) == "1 1 True 0 ''\n"


def parent_of(pid: int) -> int:
    image = identity.image_of(pid)
    return image.parent if image else 0


# By its number


def test_by_its_number_a_process_is_described_as_if_it_had_connected(door: Door, tool: Led) -> None:
    connection, caller = let_in(door, tool)
    connection.close()
    told = described(tool.pid)
    assert told.since >= caller.since
    for field in caller.__struct_fields__:
        assert field == "since" or getattr(told, field) == getattr(caller, field)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_a_number_that_nobody_has_describes_nobody(pid: int) -> None:
    assert described(pid).pid == 0


def test_whoever_is_not_known_at_all_cannot_be_believed() -> None:
    assert not unchanged(Caller(uid=os.geteuid(), pid=0))
    assert not unchanged(Caller(uid=os.geteuid(), pid=os.getpid()))
