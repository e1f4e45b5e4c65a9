"""`aixtiv watch` as scripts use it, and a real daemon that tells a real desktop and a real hook."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.sources import Command
from aixtivd.accounts.notices import STARTING
from peers.desktop import bus, desktop
from peers.machine import PATIENCE, Machine
from peers.waiting import until

KEY = '[vault]\nkey = "file"\n'


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    """A daemon with an account whose tokens a command prints."""
    with Machine(folder) as machine:
        machine.configure(KEY)
        machine.start()
        script(machine.home / "ant", "echo printed-token")
        bound(machine)
        yield machine


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def bound(machine: Machine, name: str = "work") -> None:
    asked = requests.Login(account=name, source=Command(command=(str(machine.home / "ant"),)))
    assert not hasattr(machine.ask(asked), "code")


def watches(machine: Machine) -> bool:
    """Whether somebody does: nothing else is open for long."""
    out = machine.run("metrics").out
    return "aixtiv_open_conversations 2" in out


def line(process: Any) -> Any:
    return json.loads(process.stdout.readline())


def test_an_account_that_is_not_there_is_said_and_waited_for(machine: Machine) -> None:
    with machine.running("watch", "--once", "--account", "zz") as watching:
        assert watching.stderr
        assert watching.stderr.readline() == "aixtiv: there is no account zz yet; waiting for it\n"
        until(lambda: watches(machine), "it watches")
        bound(machine, "zz")
        out, err = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, err) == (0, "")
        assert "zz" in out


def test_a_script_waits_for_one_thing_and_goes_on(machine: Machine) -> None:
    bound(machine, "other")
    with machine.running("watch", "--once", "--json", "--event", "refreshed", "--account", "work") as watching:
        until(lambda: watches(machine), "it watches")
        machine.run("refresh", "other")
        machine.run("refresh", "work")
        out, err = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, err) == (0, "")
        [told] = [json.loads(text) for text in out.splitlines()]
        assert (told["event"], told["account"]) == ("refreshed", "work")


def test_it_goes_on_when_the_daemon_is_another_and_starts_none_itself(machine: Machine) -> None:
    with machine.running("watch", "--json", "--event", "refreshed") as watching:
        assert watching.stderr
        until(lambda: watches(machine), "it watches")
        machine.run("refresh", "work")
        assert line(watching)["account"] == "work"
        machine.stop()
        assert watching.stderr.readline() == "aixtiv: the daemon has ended; waiting for the next one\n"
        assert not machine.answers()
        machine.start()
        assert watching.stderr.readline() == "aixtiv: a daemon is there again\n"
        until(lambda: watches(machine), "it watches again")
        machine.run("refresh", "work")
        assert line(watching)["event"] == "refreshed"


def test_of_a_vault_that_is_locked_after_a_restart_the_unlock_is_waited_for(machine: Machine) -> None:
    with machine.running("watch", "--once", "--event", "refreshed") as watching:
        assert watching.stderr
        until(lambda: watches(machine), "it watches")
        machine.run("lock")
        machine.ask(requests.Restart())
        assert "has ended" in watching.stderr.readline()
        assert "its vault is locked; waiting for the unlock" in watching.stderr.readline()
        assert watching.stderr.readline() == "aixtiv: hint: aixtiv unlock\n"
        machine.run("unlock")
        assert "there again" in watching.stderr.readline()
        until(lambda: watches(machine), "it watches again")
        machine.run("refresh", "work")
        out, _ = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, "refreshed" in out) == (0, True)


def test_one_that_is_killed_is_survived_too(machine: Machine) -> None:
    with machine.running("watch", "--once", "--event", "refreshed") as watching:
        assert watching.stderr
        until(lambda: watches(machine), "it watches")
        machine.kill()
        assert "has ended" in watching.stderr.readline()
        machine.start()
        assert "there again" in watching.stderr.readline()
        until(lambda: watches(machine), "it watches again")
        machine.run("refresh", "work")
        out, _ = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, "refreshed" in out) == (0, True)


def test_where_there_is_no_daemon_from_the_start_that_is_an_error(folder: Path) -> None:
    with Machine(folder) as machine:
        ran = machine.run("watch", "--once")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("aixtiv: error: the daemon is not running")


def test_metrics_are_printed_as_they_are_and_name_an_account_only_if_asked(machine: Machine) -> None:
    machine.run("token", "work")
    plain, named = machine.run("metrics"), machine.run("metrics", "--accounts")
    assert 'aixtiv_accounts{state="fresh"} 1\n' in plain.out
    assert "\naixtiv_tokens_total 1\n" in plain.out
    assert '"work"' not in plain.out
    assert 'aixtiv_account_info{account="work",provider="work",kind="command",state="fresh"} 1\n' in named.out
    assert "printed-token" not in plain.out + named.out
    assert machine.run("metrics", "--json").json()["text"].startswith("# HELP aixtiv_build_info")


@pytest.mark.slow  # it waits until the daemon has settled after its start
@pytest.mark.timeout(180)
def test_a_real_desktop_and_a_real_hook_are_told_and_neither_sees_a_secret(folder: Path) -> None:
    with bus(folder) as address, desktop(address) as screen, Machine(folder) as machine:
        hook = script(machine.home / "hook", f"cat > {machine.home}/heard; env > {machine.home}/environ")
        machine.configure(f'{KEY}[notices]\nfailing-after = 0\n[hooks]\nfailing = ["{hook}"]\n')
        machine.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        machine.start(SOME_API_KEY="hunter2", ANTHROPIC_API_KEY="hunter2")
        script(machine.home / "ant", "echo printed-token")
        bound(machine)
        script(machine.home / "ant", "echo hunter2 >&2; exit 1")
        machine.run("refresh", "work")
        with machine.running("watch", "--once", "--event", "locked"):  # a daemon that is watched stays
            until(lambda: screen.shown, "the desktop shows it", patience=PATIENCE + STARTING)
        until((machine.home / "environ").exists, "the hook has run")
        [shown] = screen.shown
        assert shown.title == "aixtiv: work cannot be refreshed"
        assert shown.body.splitlines()[-1].startswith(str(machine.home / "ant")), "the command to type"
        heard = json.loads((machine.home / "heard").read_text())
        assert (heard["event"], heard["account"]) == ("failing", "work")
        everything = f"{shown} {heard} {(machine.home / 'environ').read_text()} {machine.log}"
        assert "hunter2" not in everything
        assert "printed-token" not in everything
        assert machine.run("status", "--json").json()["notice_problem"] == ""
