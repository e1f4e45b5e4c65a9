"""Starting the daemon: once, detached, with nothing of the shell's environment but what it needs."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aixtiv import failures, start
from aixtiv_protocol import VERSION, replies
from peers.machine import Machine
from peers.scripted import ScriptedDaemon

AIXTIVD = Path(sysconfig.get_path("scripts")) / "aixtivd"


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        machine.configure('[vault]\nkey = "file"\n')
        machine.environ["AIXTIV_NO_START"] = ""
        yield machine
        machine.run("stop")


def test_commands_that_start_it_at_once_start_it_once(machine: Machine) -> None:
    with ThreadPoolExecutor(6) as commands:
        ran = list(commands.map(lambda _: machine.run("status", "--json"), range(6)))
    assert len({one.json()["pid"] for one in ran}) == 1
    assert sum("started the daemon" in one.err for one in ran) == 1


def test_a_token_that_is_asked_for_starts_it_too(machine: Machine) -> None:
    ran = machine.run("token", "github")
    assert "started the daemon" in ran.err
    assert (ran.out, ran.code) == ("", 1)


def test_it_keeps_none_of_the_shells_secrets_and_none_of_its_files(machine: Machine) -> None:
    pid = machine.run("status", "--json", ANTHROPIC_API_KEY="made-up", GITHUB_TOKEN="made-up").json()["pid"]
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"made-up" not in environ
    assert b"HOME=" in environ
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert Path(f"/proc/{pid}/fd/1").readlink() == machine.state / "aixtivd.log"


def test_its_log_is_nobody_elses_to_read(machine: Machine) -> None:
    machine.run("status")
    assert stat.S_IMODE((machine.state / "aixtivd.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.state.stat().st_mode) == 0o700


def test_a_log_that_has_grown_is_begun_anew(machine: Machine) -> None:
    machine.state.mkdir(parents=True, mode=0o700)
    log = machine.state / "aixtivd.log"
    log.write_bytes(b"x" * (start.LOG_LIMIT + 1))
    machine.run("status")
    assert log.stat().st_size < start.LOG_LIMIT
    assert (machine.state / "aixtivd.log.1").stat().st_size > start.LOG_LIMIT


def test_a_stale_socket_does_not_keep_it_from_starting(machine: Machine) -> None:
    machine.run("status")
    pid = machine.run("status", "--json").json()["pid"]
    os.kill(pid, 9)
    assert machine.run("status", "--json").json()["pid"] != pid


@pytest.mark.parametrize(
    ("how", "printed"),
    [("", "the daemon is not running: aixtiv service start\n"), ("start=True", f"{VERSION}\n")],
)
def test_the_library_starts_it_only_when_told_to_and_says_nothing_itself(
    machine: Machine, how: str, printed: str
) -> None:
    script = (
        f"import aixtiv\ntry: print(aixtiv.Client({how}).status().version)\n"
        "except aixtiv.NoDaemon as e: print(f'{e}: {e.hint}')"
    )
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, env=machine.environ, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == (printed, "")


def test_the_environment_is_picked_not_copied() -> None:
    """Where the daemon is to die, a test says that starts it itself (host/faults.py): not whoever runs a command."""
    environ = {"HOME": "/h", "XDG_STATE_HOME": "/s", "LC_ALL": "C", "AIXTIVD_FAULT": "x", "AWS_SECRET_ACCESS_KEY": "s"}
    assert start.clean_environment(environ) == {name: environ[name] for name in list(environ)[:3]}


@pytest.mark.parametrize(
    ("log", "sentence", "hint"),
    [
        ("", "the daemon ended as soon as it was started", "cat "),
        ('{"event":"ended"}\naixtivd: error: no room\n', "the daemon does not start: no room", ""),
        ("aixtivd: error: no room\naixtivd: hint: df\n", "the daemon does not start: no room", "df"),
    ],
)
def test_a_daemon_that_ends_at_once_has_the_last_word(folder: Path, log: str, sentence: str, hint: str) -> None:
    file = folder / "log"
    file.write_text(f"aixtivd: error: of long ago\n{log}")
    said = start.last_words(file, len("aixtivd: error: of long ago\n"))
    assert (said.sentence, said.exit_status) == (sentence, 2)
    assert said.hint.startswith(hint)


class Home:
    """A home with our unit installed, and a service manager that does what a test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.asked = folder / "asked"
        self.socket = str(folder / "aixtiv/aixtiv.sock")
        for name in ("AIXTIV_SOCKET", "XDG_DATA_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / ".local/state"))
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        unit = folder / ".config/systemd/user" / start.UNIT
        unit.parent.mkdir(parents=True)
        unit.touch()

    def manager(self, script: str) -> None:
        file = self.folder / "systemctl"
        file.write_text(f'#!/bin/sh\necho "$@" > {self.asked}\n{script}\n')
        file.chmod(0o700)


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(folder, monkeypatch)


def test_an_installed_unit_is_started_by_the_service_manager(home: Home) -> None:
    home.manager(f"mv {home.folder}/later {home.folder}/aixtiv")
    said: list[str] = []
    with ScriptedDaemon(home.folder, lambda request: (replies.Done(),)) as daemon:
        daemon.path.parent.rename(home.folder / "later")
        start.start(home.socket, said.append)
    assert home.asked.read_text() == f"--user start {start.UNIT}\n"
    assert said == ["started the daemon's service"]
    assert start.how() == "aixtiv service start"


def test_a_service_that_does_not_start_says_where_its_log_is(home: Home) -> None:
    home.manager("echo 'Job for aixtivd.service failed.' >&2; exit 1")
    said: list[str] = []
    with pytest.raises(failures.NoDaemon, match="does not start") as caught:
        start.start(home.socket, said.append)
    assert said == []
    assert caught.value.hint == "aixtiv service logs"


@pytest.mark.parametrize("manager", ["exit 0", "exec sleep 60"])
def test_a_service_that_never_answers_is_not_waited_for_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    monkeypatch.setattr(start, "PATIENCE", 0.2)
    home.manager(manager)
    with pytest.raises(failures.NoDaemon, match="does not answer"):
        start.start(home.socket, print)


@pytest.mark.parametrize(
    "words",
    [
        "Failed to connect to bus: No medium found",
        "Failed to connect to user scope bus via local transport: No medium found",
    ],
    ids=["systemd until 255", "and since"],
)
def test_without_a_session_it_is_started_in_the_background(
    home: Home, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    home.manager(f"echo '{words}' >&2; exit 1")
    background = home.folder / "background"
    background.write_text("#!/bin/sh\necho 'aixtivd: error: of the background' >&2; exit 1\n")
    background.chmod(0o700)
    monkeypatch.setattr(start, "executable", lambda: str(background))
    said: list[str] = []
    with pytest.raises(failures.NoDaemon, match="of the background"):
        start.start(home.socket, said.append)
    assert said == []  # "started the daemon" would be untrue


def test_a_socket_of_ones_own_is_not_the_units(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXTIV_SOCKET", "/elsewhere/aixtiv.sock")
    assert start.unit() is None


def test_on_a_mac_launchd_is_asked_and_loads_what_was_unloaded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = home.folder / "Library/LaunchAgents" / f"{start.LABEL}.plist"
    agent.parent.mkdir(parents=True)
    agent.touch()
    launchctl = home.folder / "launchctl"
    launchctl.write_text(f'#!/bin/sh\necho "$@" >> {home.asked}\ntest "$1" = bootstrap\n')
    launchctl.chmod(0o700)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert start.how() == "aixtiv service start"
    assert start._by_service_manager()
    domain = f"gui/{os.getuid()}"
    assert home.asked.read_text() == f"kickstart {domain}/{start.LABEL}\nbootstrap {domain} {agent}\n"


def test_a_state_folder_that_cannot_be_is_a_sentence(home: Home) -> None:
    (home.folder / ".local").touch()
    with pytest.raises(failures.NoDaemon, match=r"the daemon cannot be started: .*/\.local/state") as caught:
        start.start(home.socket, print)
    assert caught.value.hint == f"ls -ld {home.folder}/.local/state"


def test_a_command_that_gets_no_turn_gives_up(folder: Path) -> None:
    lock = folder / "start.lock"
    with (
        start._only_one(lock, time.monotonic() + 5),
        pytest.raises(failures.NoDaemon, match="another command"),
        start._only_one(lock, time.monotonic()),
    ):
        pytest.fail("two had the turn")


def test_the_daemon_is_the_one_of_the_same_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start.executable() == str(AIXTIVD)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", [str(folder / "aixtiv")])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(failures.NoDaemon, match="not installed"):
        start.executable()
    with contextlib.suppress(OSError):
        shutil.copy(AIXTIVD, folder / "aixtivd")
    assert start.executable() == str(folder / "aixtivd")


def test_a_fifo_in_the_logs_place_keeps_nobody_waiting(folder: Path) -> None:
    log = folder / "aixtivd.log"
    os.mkfifo(log)
    with pytest.raises(failures.NoDaemon, match="is not a file"):
        start._open_log(log)


def test_no_daemon_is_taken_from_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "aixtivd").touch(mode=0o700)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["-c"])
    assert Path(start.executable()).parent != folder
    monkeypatch.setattr("sys.executable", "/usr/bin/python3")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(failures.NoDaemon):
        start.executable()
