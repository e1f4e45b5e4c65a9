"""The gateway's fixed port, which several setups share: opened with the first, and closed with the last."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv.service.port import lines as lines_of
from peers.desk import Desk, desk
from peers.ports import free_port
from peers.setups import AIXTIV, home, port_of, setup


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with desk(folder, configured="# mine\n") as at:
        at.sign_in()
        yield at


def test_the_port_closes_with_the_last_that_needs_it(at: Desk) -> None:
    before = home(at.machine)
    setup(at, "claude-code")
    setup(at, "sdk-profile")
    port = port_of(at)
    setup(at, "claude-code", "--undo")
    assert port_of(at) == port
    assert (at.machine.run("setup", "env", "--yes", "--port", str(free_port()))).code == 64
    setup(at, "sdk-profile", "--undo")
    assert port_of(at) == 0
    assert home(at.machine) == before


def test_a_port_of_the_persons_own_stays_theirs(at: Desk) -> None:
    port = free_port()
    with at.machine.config.open("a") as config:
        config.write(f"[claude]\nport = {port}  # mine\n")
    assert at.machine.run("reload").code == 0
    before = home(at.machine)
    setup(at, "sdk-profile")
    setup(at, "sdk-profile", "--undo")
    assert home(at.machine) == before
    assert port_of(at) == port


def test_a_port_that_somebody_has_is_refused_with_who(at: Desk) -> None:
    before = home(at.machine)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        ran = at.machine.run("setup", "claude-code", "--yes", "--port", str(port))
    assert ran.code == 1
    assert f"(pid {os.getpid()}) has it" in ran.err
    assert home(at.machine) == before


@pytest.mark.parametrize("active", [False, True])
def test_the_services_socket_has_the_port_too_where_its_unit_is_installed(at: Desk, folder: Path, active: bool) -> None:
    """With a systemctl that says what it was asked, and restarts nothing."""
    asked, systemctl = folder / "asked", folder / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        f'#!/bin/sh\necho "$*" >> {asked}\ncase "$*" in\n'
        f"*is-active*) exit {0 if active else 3};;\n*' start '*) exec {AIXTIV} reload;;\nesac\n"
    )
    systemctl.chmod(0o755)
    units = at.machine.home / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "aixtivd-claude.socket").write_text("[Socket]\nListenStream=%t/aixtiv/claude.sock\n")
    before = home(at.machine)
    path = f"{systemctl.parent}:{at.machine.environ['PATH']}"
    ran = setup(at, "claude-code", PATH=path)
    port = port_of(at)
    assert (units / "aixtivd-claude.socket.d/port.conf").read_text() == lines_of(port)
    restart = ["daemon-reload", "stop aixtivd.service", "restart aixtivd-claude.socket", "start aixtivd.service"]
    lines = [line.removeprefix("--user ") for line in asked.read_text().splitlines()]
    assert [line for line in lines if "is-active" not in line] == (restart if active else [])
    assert ("and the daemon's service is restarted" in ran.err) is active
    setup(at, "claude-code", "--undo", PATH=path)
    assert home(at.machine) == before
    assert port_of(at) == 0
