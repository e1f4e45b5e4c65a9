"""The daemon started for its sockets, as at the first call after boot: by systemd's own tool, and by nobody."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from signal import SIGUSR2

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.machine import PATIENCE, SCRIPTS, Machine
from peers.ports import free_port
from peers.presence import command
from peers.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

KEY = "a-key-that-is-static"


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    """With `x` sealed in its store, and no daemon: as after a boot."""
    with Machine(folder) as machine:
        machine.start()
        assert isinstance(machine.ask(requests.ApiKey(account="x", key=Secret(KEY))), replies.Account)
        assert machine.stop() == 0
        machine.log_file.unlink()
        yield machine


@contextmanager
def waiting_for(machine: Machine, *sockets: tuple[str, str], program: str = "", **environ: str) -> Iterator[None]:
    """systemd-socket-activate listens, and becomes the daemon for the first caller of any of them."""
    machine.socket.parent.mkdir(mode=0o700, exist_ok=True)
    names = ":".join(name for name, _ in sockets)
    settings = machine.environ | environ
    with machine.log_file.open("ab") as log:
        machine.daemon = subprocess.Popen(
            [
                command("systemd-socket-activate", package="systemd"),
                *[f"--listen={where}" for _, where in sockets],
                f"--fdname={names}",
                *[f"--setenv={name}={value}" for name, value in settings.items()],
                program or str(SCRIPTS / "aixtivd"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    until(lambda: machine.log.count("Listening on") == len(sockets), "it listens to all of them")
    for _, where in sockets:
        if where.startswith("/"):
            Path(where).chmod(0o600)  # a socket unit has SocketMode=; this has nothing like it
    try:
        yield
    finally:
        if machine.daemon.poll() is None:
            machine.kill()


def test_the_first_token_after_boot_wakes_the_daemon_and_comes(machine: Machine) -> None:
    claude, port = str(machine.socket.with_name("claude.sock")), free_port()
    sockets = ("aixtiv", str(machine.socket)), ("claude", claude), ("claude", f"127.0.0.1:{port}")
    with waiting_for(machine, *sockets):
        assert "ready" not in machine.log
        assert machine.run("token", "x").out == f"{KEY}\n"
        status = machine.ask(requests.Status())
        assert isinstance(status, replies.DaemonStatus)
        assert (status.pid, status.socket, status.gateway) == (machine.pid, str(machine.socket), claude)
        assert (status.gateway_port, status.gateway_problem) == (port, "")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sdk:
            sdk.sendall(f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert sdk.recv(4096).startswith(b"HTTP/1.1 401 ")
        assert machine.stop() == 0
        assert machine.socket.exists(), "the service manager's sockets are not ours to remove"
        assert Path(claude).exists()


def test_a_tools_call_to_the_fixed_port_wakes_it_too(machine: Machine) -> None:
    port = free_port()
    with (
        waiting_for(machine, ("aixtiv", str(machine.socket)), ("claude", f"127.0.0.1:{port}")),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sdk,
    ):
        sdk.sendall(f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        sdk.settimeout(PATIENCE)
        assert sdk.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.slow  # several starts: what it adds to the others is seldom touched
def test_it_restarts_with_the_sockets_it_was_handed_and_leaves_them_to_their_owner(machine: Machine) -> None:
    claude, port = str(machine.socket.with_name("claude.sock")), free_port()
    sockets = ("aixtiv", str(machine.socket)), ("claude", claude), ("claude", f"127.0.0.1:{port}")
    with waiting_for(machine, *sockets):
        assert machine.run("token", "x").code == 0
        for starts in (2, 3):
            assert isinstance(machine.ask(requests.Restart()), replies.Done)
            until(lambda: machine.logged("ready")[starts - 1 :], "the next one serves")  # noqa: B023  # called at once
            status = machine.ask(requests.Status())
            assert isinstance(status, replies.DaemonStatus)
            assert (status.pid, status.gateway, status.gateway_port) == (machine.pid, claude, port)
        assert machine.stop() == 0
        assert machine.socket.exists()
        assert Path(claude).exists()


def test_a_socket_of_a_foreign_name_is_closed(machine: Machine, folder: Path) -> None:
    foreign = str(folder / "foreign")
    with waiting_for(machine, ("aixtiv", str(machine.socket)), ("foreign", foreign)):
        assert machine.run("token", "x").out == f"{KEY}\n"
        with socket.socket(socket.AF_UNIX) as caller, pytest.raises(ConnectionRefusedError):
            caller.connect(foreign)


AS_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"


def test_sockets_meant_for_another_process_are_not_taken(machine: Machine, folder: Path) -> None:
    """A child of something that was activated: the variables are there, and the descriptors are somebody else's."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "other"))
        other.listen()
        for_another = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "aixtiv"}
        with machine.log_file.open("ab") as log:
            machine.daemon = subprocess.Popen(
                [sys.executable, "-c", AS_THREE, str(other.fileno()), SCRIPTS / "aixtivd"],
                env=machine.environ | for_another,
                pass_fds=(other.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(machine.answers, "it listens at a place of its own")
        status = machine.ask(requests.Status())
        assert isinstance(status, replies.DaemonStatus)
        assert status.socket == str(machine.socket)
        (ready,) = machine.logged("ready")
        assert ready["activated"] is False
        assert machine.stop() == 0
        assert not machine.socket.exists()


STANDS_STILL = """#!{python}
import signal, time
signal.signal(signal.SIGUSR2, lambda *_: time.sleep(600))  # in the loop's own thread
from aixtivd.app import main
main()
"""


def test_the_watchdog_is_fed_at_half_its_time_and_a_loop_that_stands_still_misses_it(
    machine: Machine, folder: Path
) -> None:
    program = folder / "aixtivd"
    program.write_text(STANDS_STILL.format(python=sys.executable))
    program.chmod(0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(PATIENCE)
        notify = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "1000000"}
        with machine.log_file.open("ab") as log:
            machine.daemon = subprocess.Popen([program], env=machine.environ | notify, stdout=log, stderr=log)
        while manager.recv(4096) != b"READY=1\nSTATUS=serving":
            pass
        times = [_fed(manager) for _ in range(4)]
        apart = [later - earlier for earlier, later in pairwise(times)]
        assert min(apart) > 0.3, "it is fed no more often than it has to be"
        machine.signal(SIGUSR2)
        manager.settimeout(1.5)
        with suppress(TimeoutError):
            manager.recv(4096)  # what was said before the loop stood still
            with pytest.raises(TimeoutError):
                manager.recv(4096)
        assert machine.daemon.poll() is None, "the process lives, with all its threads"
        machine.kill()


def _fed(manager: socket.socket) -> float:

    assert manager.recv(4096) == b"WATCHDOG=1"
    return time.monotonic()


IDLE = """#!{python}
from aixtivd.ipc import quiet
quiet.MINUTE = 0.2  # of real seconds
from aixtivd.app import main
main()
"""


@pytest.fixture
def hasty(folder: Path) -> str:
    """A daemon whose minutes are short."""
    program = folder / "aixtivd"
    program.write_text(IDLE.format(python=sys.executable))
    program.chmod(0o700)
    return str(program)


def test_idle_it_ends_in_order_and_the_next_call_finds_its_token(machine: Machine, hasty: str) -> None:
    machine.configure("[service]\nidle-exit = 1")
    with waiting_for(machine, ("aixtiv", str(machine.socket)), program=hasty):
        assert machine.run("token", "x").out == f"{KEY}\n"
        assert machine.ended() == 0
        assert machine.logged("idle")
        assert machine.logged("stopped")
        assert machine.socket.exists()


@pytest.mark.slow  # several starts: what it adds to the others is seldom touched
def test_a_ticket_whose_holder_lives_keeps_it(machine: Machine, hasty: str) -> None:
    machine.configure("[service]\nidle-exit = 1")
    with waiting_for(machine, ("aixtiv", str(machine.socket)), program=hasty):
        with subprocess.Popen(
            [SCRIPTS / "aixtiv", "exec", "x", "--", "sh", "-c", "echo there; read wait"],
            env=machine.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "there\n"
            assert machine.daemon
            with pytest.raises(subprocess.TimeoutExpired):
                machine.daemon.wait(1.5)  # which are seven of its minutes
            holder.communicate("\n", timeout=PATIENCE)
        assert machine.ended() == 0


def test_the_one_that_a_command_started_ends_too(machine: Machine, hasty: str) -> None:
    machine.configure("[service]\nidle-exit = 1")
    with machine.log_file.open("ab") as log:
        for environ, stays in (({"AIXTIV_STARTED_BY": "command"}, False), ({}, True)):
            machine.daemon = subprocess.Popen([hasty], env=machine.environ | environ, stdout=log, stderr=log)
            until(lambda: machine.logged("ready"), "it serves")
            if stays:
                until(lambda: machine.logged("idle-exit-off"), "it says that it stays")
                assert machine.daemon.poll() is None
            else:
                assert machine.ended() == 0
            log.flush()
