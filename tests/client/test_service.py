"""`aixtiv service` with managers that answer like the real ones: what is written, what is asked, what is left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from aixtiv.service import port
from peers.machine import SCRIPTS, Machine, Ran
from peers.managers import UNITS, Managers, contents
from peers.waiting import until

ALL: Final = " ".join(UNITS)
SOCKETS: Final = "aixtivd.socket aixtivd-claude.socket"


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        yield machine


@pytest.fixture
def manager(machine: Machine) -> Iterator[Managers]:
    managers = Managers(machine)
    yield managers
    managers.end()


def service(machine: Machine, *words: str) -> Ran:
    """It must succeed."""
    ran = machine.run("service", *words)
    assert ran.code == 0, ran.err
    return ran


def without_the_store(machine: Machine) -> dict[str, tuple[int, bytes]]:
    """The home but for what the daemon keeps: those are the person's accounts."""
    store = str(machine.state.relative_to(machine.home))
    return {name: found for name, found in contents(machine.home).items() if not store.startswith(name.split("/")[0])}


def test_an_installed_service_runs_and_is_said_to(machine: Machine, manager: Managers) -> None:
    ran = service(machine, "install")
    assert ran.out == "installed the service; it starts at login\n"
    assert manager.asked() == [
        "systemctl daemon-reload",
        f"systemctl enable {ALL}",
        "systemctl stop aixtivd.service",
        f"systemctl restart {SOCKETS}",
        f"systemctl start {SOCKETS} aixtivd.service",
    ]
    status = service(machine, "status", "--json").json()
    assert (status["manager"], status["installed"], status["enabled"], status["running"]) == (
        "systemd",
        True,
        True,
        True,
    )
    assert (status["pid"], status["differs"]) == (manager.pid, [])
    assert status["version"] == machine.run("status", "--json").json()["version"]
    said = service(machine, "status")
    assert "installed with systemd, starts at login" in said.out
    assert said.err == ""


def test_an_uninstalled_service_leaves_the_home_as_it_was(machine: Machine, manager: Managers) -> None:
    machine.configure("[claude]\nport = 27823\n")
    before = without_the_store(machine)
    service(machine, "install", "--linger", "--headless")
    assert without_the_store(machine) != before
    service(machine, "uninstall")
    assert without_the_store(machine) == before
    assert not list(machine.state.glob("service*"))
    assert not [name for name in ("linger", "pid") if (manager.at / name).exists()]
    assert not list(manager.at.glob("enabled.*"))
    assert not list(manager.at.glob("active.*"))
    assert service(machine, "uninstall").out == "the service is not installed\n"


@pytest.mark.slow
def test_folders_that_were_there_stay(machine: Machine, manager: Managers) -> None:
    manager.units.mkdir(parents=True)
    other = manager.units / "other.service"
    other.write_text("[Unit]\n")
    before = without_the_store(machine)
    service(machine, "install")
    service(machine, "uninstall")
    assert without_the_store(machine) == before


def test_to_install_twice_changes_nothing_and_restarts_nothing(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    pid, before = manager.pid, without_the_store(machine)
    manager.asked()
    assert service(machine, "install").out == "the service is installed\n"
    assert (manager.pid, manager.asked(), without_the_store(machine)) == (pid, [], before)


def test_a_unit_that_is_otherwise_is_said_and_brought_up_to_date(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    unit = manager.units / "aixtivd.service"
    fresh = unit.read_text()
    unit.write_text(fresh.replace("PrivateTmp=yes", "PrivateTmp=no"))
    status = service(machine, "status")
    assert "aixtiv: warning: a unit is not as this version writes them" in status.err
    assert "aixtiv: hint: aixtiv service install" in status.err
    assert service(machine, "status", "--json").json()["differs"] == [str(unit)]
    assert "a unit is not as this version writes them" in service(machine, "restart").err
    service(machine, "install")
    assert unit.read_text() == fresh
    assert service(machine, "status").err == ""


def test_a_daemon_in_the_background_is_ended_first(machine: Machine, manager: Managers) -> None:
    machine.start()
    service(machine, "install")
    assert machine.ended() == 0
    assert machine.run("status", "--json").json()["pid"] == manager.pid != machine.pid


def test_the_units_name_the_program_by_the_paths_own_name(machine: Machine, manager: Managers) -> None:
    """pipx links ~/.local/bin/aixtivd into an environment that its next upgrade may put elsewhere."""
    links = machine.home / ".local/bin"
    links.mkdir(parents=True)
    (links / "aixtivd").symlink_to(SCRIPTS / "aixtivd")
    machine.environ["PATH"] = f"{links}:{machine.environ['PATH']}"
    service(machine, "install")
    assert f"\nExecStart={links}/aixtivd\n" in (manager.units / "aixtivd.service").read_text()
    machine.environ["PATH"] = machine.environ["PATH"].removeprefix(f"{links}:")
    assert service(machine, "status").err == "", "another shell's PATH makes it no other unit"


def test_lingering_is_enabled_only_when_asked_and_only_ours_is_disabled(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    assert not (manager.at / "linger").exists()
    service(machine, "install", "--linger")
    assert (manager.at / "linger").exists()
    assert "without a login, too" in service(machine, "status").out
    service(machine, "uninstall")
    assert not (manager.at / "linger").exists()
    (manager.at / "linger").touch()  # the person's own
    service(machine, "install", "--linger")
    service(machine, "uninstall")
    assert (manager.at / "linger").exists()


@pytest.mark.slow
def test_lingering_that_is_not_allowed_is_said_with_who_may(machine: Machine, manager: Managers) -> None:
    manager.say("forbidden")
    ran = machine.run("service", "install", "--linger")
    assert ran.code == 1
    assert "you may not have it run without a login" in ran.err
    assert "hint: sudo loginctl enable-linger " in ran.err
    assert service(machine, "status", "--json").json()["running"]


def test_where_there_are_no_namespaces_the_sandbox_is_opened_and_that_is_said(
    machine: Machine, manager: Managers
) -> None:
    manager.say("refused", "217")
    ran = service(machine, "install")
    assert "this system allows a user's service no namespaces" in ran.err
    assert (manager.units / "aixtivd.service.d/no-namespace.conf").is_file()
    assert service(machine, "install").out == "the service is installed\n"
    assert service(machine, "status", "--json").json()["differs"] == []


def test_a_service_that_does_not_start_says_so_in_systemds_words(machine: Machine, manager: Managers) -> None:
    manager.say("refused", "1")
    ran = machine.run("service", "install")
    assert ran.code == 1
    assert "systemctl start: Job for aixtivd.service failed" in ran.err
    assert "hint: journalctl --user -u aixtivd.service -n 20" in ran.err
    assert not (manager.units / "aixtivd.service.d").exists()
    manager.say("journal", "{}\naixtivd: error: it is too cold\naixtivd: hint: aixtiv config check\n")
    ran = machine.run("service", "install")
    assert "aixtiv: error: the daemon does not start: it is too cold\naixtiv: hint: aixtiv config check" in ran.err


def test_a_stopped_service_lets_go_of_its_sockets_and_starts_again(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    assert service(machine, "stop").out == "stopped; any `aixtiv` starts it again\n"
    assert not list(manager.at.glob("active.*"))
    status = service(machine, "status")
    assert "does not run" in status.out
    assert "aixtiv: hint: aixtiv service start" in status.err
    assert service(machine, "stop").out == "the daemon was not running\n"
    assert service(machine, "start").out == "started the daemon's service\n"
    assert service(machine, "start").out == "the daemon runs already\n"
    assert machine.answers()


@pytest.mark.slow
def test_a_restart_keeps_the_process_and_its_sockets(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    pid = manager.pid
    manager.asked()
    ran = service(machine, "restart")
    assert ran.out.endswith(f"answers (pid {pid})\n")
    assert manager.asked() == [], "the daemon does it by itself"


@pytest.mark.slow
def test_a_vault_that_waits_for_its_passphrase_is_said(machine: Machine, manager: Managers) -> None:
    machine.configure('[vault]\nkey = "passphrase"\n')
    for command in ("install", "restart"):
        ran = service(machine, command)
        assert "warning: a passphrase for the vault is still to be chosen" in ran.err
        assert "hint: aixtiv unlock" in ran.err


def test_the_port_of_the_config_is_in_the_services_socket(machine: Machine, manager: Managers) -> None:
    machine.configure("[claude]\nport = 27899\n")
    service(machine, "install")
    drop_in = manager.units / "aixtivd-claude.socket.d/port.conf"
    assert drop_in.read_text() == port.lines(27899)
    machine.configure("")
    assert "a unit is not" in service(machine, "status").err
    service(machine, "install")
    assert not drop_in.parent.exists()


@pytest.mark.slow
def test_an_override_of_the_persons_own_stays_and_is_said(machine: Machine, manager: Managers) -> None:
    service(machine, "install")
    override = manager.units / "aixtivd.service.d/override.conf"
    override.parent.mkdir()
    override.write_text("[Service]\n")
    ran = service(machine, "uninstall")
    assert "~/.config/systemd/user/aixtivd.service.d is yours, and stays" in ran.err
    assert override.is_file()


def test_the_log_is_the_journals(machine: Machine, manager: Managers) -> None:
    ran = service(machine, "logs", "-f", "-n", "7")
    assert ran.out == "journalctl --user --unit aixtivd.service --lines=7 --follow\n"


def test_a_socket_of_ones_own_is_never_the_services(machine: Machine, manager: Managers) -> None:
    ran = machine.run("service", "install", AIXTIV_SOCKET=str(machine.socket))
    assert ran.code == 1
    assert "AIXTIV_SOCKET names a socket of your own" in ran.err
    assert "hint: unset AIXTIV_SOCKET" in ran.err


# ---- where there is no manager


@pytest.fixture
def container(machine: Machine) -> Machine:
    Managers(machine).without_systemd()
    return machine


def test_in_a_container_nothing_is_installed_and_the_daemon_runs_in_the_background(container: Machine) -> None:
    ran = container.run("service", "install")
    assert ran.code == 1
    assert "no systemd runs here, as in a container" in ran.err
    assert "hint: aixtiv service start" in ran.err
    assert service(container, "start").out == "started the daemon (its log is ~/.local/state/aixtiv/aixtivd.log)\n"
    try:
        assert service(container, "start").out == "the daemon runs already\n"
        status = service(container, "status")
        assert "not installed (no systemd runs here, as in a container)" in status.out
        assert "runs since" in status.out
        assert '"event"' in service(container, "logs", "-n", "3").out
    finally:
        stopped = container.run("service", "stop")
    assert stopped.out == "stopped; any `aixtiv` starts it again\n"
    assert not container.answers()
    assert service(container, "uninstall").out == "the service is not installed\n"


def test_a_log_that_is_followed_shows_what_is_added(container: Machine) -> None:
    log = container.state / "aixtivd.log"
    assert container.run("service", "logs").code == 1
    log.parent.mkdir(parents=True)
    log.write_text("first\n")
    with container.running("service", "logs", "--follow") as following:
        assert following.stdout
        assert following.stdout.readline() == "first\n"
        with log.open("a") as file:
            file.write("second\n")
        assert following.stdout.readline() == "second\n"


@pytest.mark.slow
def test_an_installed_service_whose_manager_is_out_of_reach_is_not_half_removed(
    machine: Machine, manager: Managers
) -> None:
    service(machine, "install")
    manager.say("unreachable", "Failed to connect to bus: No medium found\n")
    ran = machine.run("service", "uninstall")
    assert ran.code == 1
    assert "its manager cannot be told" in ran.err
    assert (manager.units / "aixtivd.service").is_file()


# ---- the doctor


def finding(machine: Machine) -> dict[str, str]:
    ran = machine.run("doctor", "--json")
    found: list[dict[str, str]] = json.loads(ran.out)["findings"]
    (one,) = [finding for finding in found if finding["name"] == "service"]
    return one


def test_the_doctor_says_how_the_service_is(machine: Machine, manager: Managers) -> None:
    assert finding(machine)["hint"] == "aixtiv service install"
    service(machine, "install")
    assert finding(machine)["verdict"] == "fine"
    with (manager.units / "aixtivd.socket").open("a") as unit:
        unit.write("Backlog=1\n")
    assert (finding(machine)["verdict"], finding(machine)["hint"]) == ("wrong", "aixtiv service install")
    service(machine, "install")
    service(machine, "stop")
    assert (finding(machine)["verdict"], finding(machine)["hint"]) == ("wrong", "aixtiv service start")
    machine.start()
    assert "started beside the service" in finding(machine)["sentence"]
    service(machine, "start")
    assert machine.ended() == 0
    until(machine.answers, "the service's daemon answers")
    assert finding(machine)["verdict"] == "fine"


def test_units_that_a_person_wrote_are_neither_replaced_nor_removed(machine: Machine, manager: Managers) -> None:
    unit = machine.home / ".config/systemd/user/aixtivd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("# my own\n[Service]\nExecStart=/opt/my/aixtivd\n")
    own = unit.read_bytes()
    for what in ("install", "uninstall"):
        ran = machine.run("service", what)
        said = "aixtiv: error: ~/.config/systemd/user/aixtivd.service was not written by aixtiv, and stays\n"
        assert (ran.code, ran.err.startswith(said)) == (1, True), ran.err
        assert unit.read_bytes() == own
    assert [file for file in unit.parent.rglob("*") if file.is_file()] == [unit]
