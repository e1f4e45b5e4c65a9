"""The daemon as a process: how it starts, says that it is ready, reads its config again, and ends."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.machine import PATIENCE, SCRIPTS, Machine
from peers.waiting import until


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        yield machine


@pytest.fixture
def manager(folder: Path) -> Iterator[socket.socket]:
    """What a service manager hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(PATIENCE)
        yield channel


def ended(machine: Machine, *arguments: str, **environ: str) -> tuple[int, list[str], list[str]]:
    """A daemon that does not start: exit status, what it says to a person, and the events of its log."""
    machine.spawn(*arguments, **environ)
    status = machine.ended()
    lines = machine.log.splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    return status, [line for line in lines if not line.startswith("{")], events


def test_it_says_who_it_is_and_where_everything_lies(machine: Machine) -> None:
    machine.start()
    welcome = machine.ask(requests.Hello())
    assert isinstance(welcome, replies.Welcome)
    assert (welcome.version, welcome.locked) == (VERSION, False)
    assert {"token", "login", "api-key", "stop"} <= set(welcome.ops)
    status = machine.ask(requests.Status())
    assert isinstance(status, replies.DaemonStatus)
    assert status.pid == machine.pid
    assert Path(status.store) == machine.state / "store.db"
    assert Path(status.config) == machine.config
    assert Path(status.socket) == machine.socket


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(machine: Machine, how: signal.Signals) -> None:
    machine.start()
    machine.signal(how)
    assert machine.ended() == 0
    assert not machine.socket.exists()
    assert [event for event in ("ready", "stopping", "stopped") if machine.logged(event)] == [
        "ready",
        "stopping",
        "stopped",
    ]


def test_a_request_stops_it_in_order(machine: Machine) -> None:
    machine.start()
    assert isinstance(machine.ask(requests.Stop()), replies.Done)
    assert machine.ended() == 0
    assert not machine.socket.exists()


def test_callers_who_only_sit_there_do_not_hold_up_its_end(machine: Machine) -> None:
    machine.start()
    with machine.conversation() as idle, machine.conversation() as watching:
        idle.say(requests.Hello())
        idle.hear()
        watching.say(requests.Watch())
        assert machine.stop() == 0
        told = watching.hear()
        assert isinstance(told, replies.Event)
        assert told.event == "stopping"
        failure = watching.hear()
        assert isinstance(failure, replies.Failure)
        assert (failure.code, failure.retry) == ("busy", True)


def test_after_a_crash_the_next_one_takes_the_socket_over(machine: Machine) -> None:
    machine.start().kill()
    assert machine.socket.exists()
    machine.start()
    assert isinstance(machine.ask(requests.Hello()), replies.Welcome)


def test_a_second_daemon_on_the_same_store_ends_with_a_sentence(machine: Machine) -> None:
    machine.start()
    second = subprocess.run(
        [SCRIPTS / "aixtivd"], env=machine.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert second.returncode == 1
    assert "aixtivd: error: " in second.stderr
    assert isinstance(machine.ask(requests.Hello()), replies.Welcome)


def test_a_second_daemon_on_another_store_does_not_take_the_socket(machine: Machine, folder: Path) -> None:
    machine.start()
    environ = machine.environ | {"XDG_STATE_HOME": str(folder / "elsewhere")}
    second = subprocess.run(
        [SCRIPTS / "aixtivd"], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert second.returncode == 1
    assert f"aixtivd: error: another daemon listens at {machine.socket} already\n" in second.stderr
    assert "aixtivd: hint: aixtiv status\n" in second.stderr
    assert isinstance(machine.ask(requests.Hello()), replies.Welcome)


def test_a_wrong_config_is_a_sentence_for_the_person_and_in_the_log(machine: Machine) -> None:
    machine.configure("[netwrok]")
    status, said, events = ended(machine)
    assert status == 1
    assert said == [
        f"aixtivd: error: {machine.config}: unknown key netwrok; did you mean network?",
        "aixtivd: hint: aixtiv config check",
    ]
    assert events == ["ended"]


def test_a_store_that_others_can_read_is_refused(machine: Machine) -> None:
    machine.start().stop()
    machine.log_file.unlink()
    (machine.state / "store.db").chmod(0o644)
    status, said, events = ended(machine)
    assert status == 1
    assert said[0].startswith("aixtivd: error: ")
    assert "ready" not in events


def test_a_socket_folder_that_others_can_enter_is_refused(machine: Machine) -> None:
    machine.socket.parent.mkdir(mode=0o700)
    machine.socket.parent.chmod(0o755)
    status, said, _ = ended(machine)
    assert status == 1
    assert said == [
        f"aixtivd: error: the socket's folder {machine.socket.parent} is open to other users",
        f"aixtivd: hint: chmod 700 {machine.socket.parent}",
    ]


def test_a_config_that_was_named_has_to_be_there(machine: Machine, folder: Path) -> None:
    status, said, _ = ended(machine, "--config", str(folder / "mine.toml"))
    assert (status, said[0]) == (1, f"aixtivd: error: there is no config file {folder / 'mine.toml'}")


def test_a_config_that_was_named_is_the_one(machine: Machine, folder: Path) -> None:
    machine.configure("[netwrok]")
    (folder / "mine.toml").write_text('log = "error"')
    machine.start("--config", str(folder / "mine.toml"))
    status = machine.ask(requests.Status())
    assert isinstance(status, replies.DaemonStatus)
    assert status.config == str(folder / "mine.toml")
    assert machine.logged("ready") == []


def test_the_option_outweighs_the_configs_log_level(machine: Machine) -> None:
    machine.configure('log = "error"')
    machine.start("--log-level", "info")
    assert machine.stop() == 0
    assert machine.logged("stopped")


@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        (["--version"], 0, f"aixtivd {VERSION}\n"),
        (["--help"], 0, None),
        (["--colour"], 64, ""),
        (["--log-level", "loud"], 64, ""),
        (["extra"], 64, ""),
    ],
)
def test_options(machine: Machine, arguments: list[str], status: int, out: str | None) -> None:
    ran = subprocess.run(
        [SCRIPTS / "aixtivd", *arguments], env=machine.environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == status
    assert out is None or ran.stdout == out
    if status:
        error, hint = ran.stderr.splitlines()
        assert error.startswith("aixtivd: error: ")
        assert hint == "aixtivd: hint: aixtivd --help"


def test_reload_takes_all_of_a_config_or_nothing(machine: Machine) -> None:
    """Seen by the log's level, which comes before what is wrong in the file."""
    machine.start()
    machine.configure('log = "error"\n[refresh]\nat-once = 0')
    failure = machine.ask(requests.Reload())
    assert isinstance(failure, replies.Failure)
    assert (failure.code, failure.message) == (
        "bad_config",
        f"{machine.config}: refresh.at-once: expected 1 to 64",
    )
    machine.configure('log = "info"')
    assert isinstance(machine.ask(requests.Reload()), replies.Done)
    assert len(machine.logged("reloaded")) == 1
    machine.configure('log = "error"')
    assert isinstance(machine.ask(requests.Reload()), replies.Done)
    assert machine.stop() == 0
    assert machine.logged("stopped") == []


def test_reload_reaches_the_network(machine: Machine) -> None:
    machine.start()
    sign_in = requests.Login(
        account="x", settings=requests.ClientSettings(issuer="https://aixtiv.invalid", client_id="x")
    )
    for config, sentence in [
        ("", "aixtiv.invalid cannot be found: its name does not resolve"),
        ('[network]\nproxy = "http://127.0.0.1:1"', "aixtiv.invalid cannot be reached: the proxy does not answer"),
    ]:
        machine.configure(config)
        assert isinstance(machine.ask(requests.Reload()), replies.Done)
        failure = machine.ask(sign_in)
        assert isinstance(failure, replies.Failure)
        assert (failure.code, failure.message) == ("unreachable", sentence)


def test_sighup_reloads_and_a_wrong_file_changes_nothing(machine: Machine, manager: socket.socket) -> None:
    machine.start(NOTIFY_SOCKET=manager.getsockname())
    assert manager.recv(4096).startswith(b"READY=1")
    machine.configure("[netwrok]")
    machine.signal(signal.SIGHUP)
    until_logged(machine, "config-refused")
    machine.configure("")
    machine.signal(signal.SIGHUP)
    until_logged(machine, "reloaded")
    assert machine.stop() == 0


def until_logged(machine: Machine, event: str) -> None:
    """The log is written by another process: asking it something lets time pass."""
    for _ in range(1000):
        if machine.logged(event):
            return
        machine.ask(requests.Hello())
    pytest.fail(f"no {event}: {machine.log}")


def test_a_locked_vault_is_served(machine: Machine) -> None:
    machine.configure('[vault]\nkey = "passphrase"')
    machine.start()
    welcome = machine.ask(requests.Hello())
    assert isinstance(welcome, replies.Welcome)
    assert welcome.locked
    for asked in (requests.Token(account="x"), requests.Reload(), requests.Watch(), requests.Audit()):
        refused = machine.ask(asked)
        assert isinstance(refused, replies.Failure)
        assert (refused.code, refused.hint) == ("locked", "aixtiv unlock")
    conversation: list[tuple[requests.Request, type]] = [
        (requests.Status(), replies.DaemonStatus),
        (requests.Lock(), replies.Done),
        (requests.Unlock(passphrase=Secret("correct horse battery staple")), replies.Done),
        (requests.Accounts(), replies.AccountList),
        (requests.Lock(), replies.Done),
        (requests.Stop(), replies.Done),
    ]
    for request, answer in conversation:
        assert isinstance(machine.ask(request), answer), request
    assert machine.ended() == 0


def test_ready_is_said_when_it_can_serve_and_the_watchdog_is_fed(machine: Machine, manager: socket.socket) -> None:
    machine.spawn(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="200000")
    heard = {manager.recv(4096), manager.recv(4096)}  # feeding may begin before
    assert heard == {b"READY=1\nSTATUS=serving", b"WATCHDOG=1"}
    assert isinstance(machine.ask(requests.Hello()), replies.Welcome)
    assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    machine.signal(signal.SIGTERM)
    while (said := manager.recv(4096)) == b"WATCHDOG=1":
        pass
    assert said.startswith(b"STOPPING=1\n")
    assert machine.ended() == 0


def test_ready_is_not_said_by_a_daemon_that_does_not_start(machine: Machine, manager: socket.socket) -> None:
    machine.configure("[netwrok]")
    machine.spawn(NOTIFY_SOCKET=manager.getsockname())
    assert machine.ended() == 1
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_newer_request_gets_the_command_that_restarts_this_daemon(machine: Machine) -> None:
    machine.start()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(machine.socket))
        caller.sendall(b'{"op":"teleport"}\n')
        failure = json.loads(caller.makefile().readline())
    assert failure["message"] == f"aixtivd {VERSION} does not know that request"
    assert failure["hint"] == "aixtiv service restart"


def test_it_works_where_uvloop_is_not_installed(machine: Machine, folder: Path) -> None:
    (folder / "without").mkdir()
    (folder / "without/uvloop.py").write_text("raise ImportError")
    machine.start(PYTHONPATH=str(folder / "without"))
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(machine.socket))
        caller.sendall(b'{"op":"hello"}')
        caller.shutdown(socket.SHUT_WR)
        assert json.loads(caller.makefile().read())["re"] == "welcome"
    assert machine.stop() == 0


def test_a_daemon_started_for_a_socket_serves_it_and_leaves_it(machine: Machine, folder: Path) -> None:
    """systemd-socket-activate listens, starts the daemon for the first caller, and becomes it."""
    machine.socket.parent.mkdir(mode=0o700)
    with machine.log_file.open("ab") as log:
        machine.daemon = subprocess.Popen(
            [
                "systemd-socket-activate",
                f"--listen={machine.socket}",
                "--fdname=aixtiv",
                *[f"--setenv={name}={value}" for name, value in machine.environ.items()],
                SCRIPTS / "aixtivd",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    until(lambda: "Listening on" in machine.log, "it listens")  # its path is there a little earlier
    machine.socket.chmod(0o600)  # a socket unit has SocketMode=; this has nothing like it
    status = machine.ask(requests.Status())
    assert isinstance(status, replies.DaemonStatus), machine.log
    assert (status.socket, status.pid) == (str(machine.socket), machine.pid)
    (ready,) = machine.logged("ready")
    assert ready["activated"] is True
    assert machine.stop() == 0
    assert machine.socket.exists(), "the service manager's socket is not ours to remove"


def test_a_reload_says_that_the_key_source_was_chosen_for_good(machine: Machine) -> None:
    machine.start()
    machine.configure('[vault]\nkey = "passphrase"')
    assert (
        machine.run("reload").out
        == "reloaded; but this vault's key comes from the file source: it stays locked at the next start\n"
    )
    machine.configure('[vault]\nkey-file = "/tmp/elsewhere"')
    assert machine.run("reload").out == "reloaded; vault.key-file counts at the next start\n"
