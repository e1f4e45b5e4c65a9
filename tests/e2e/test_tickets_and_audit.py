"""Tickets and the audit log, from the command to the disk: real daemons, killed shells, edited logs."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from aixtivd.host.faults import VARIABLE
from peers.leaks import files_under, leaks
from peers.machine import SCRIPTS, Machine
from peers.waiting import until

KEY = "sk-ant-api03-made-up-for-this-test-only"


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """With an account."""
    assert machine.run("api-key", "set", "anthropic", stdin=f"{KEY}\n").code == 0
    return machine


def shell(machine: Machine, program: str = "sh") -> "subprocess.Popen[str]":
    """One that types what its stdin says."""
    return subprocess.Popen(
        [program], env=machine.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def typed(shell: "subprocess.Popen[str]", line: str) -> str:
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(line + "\n")
    shell.stdin.flush()
    return shell.stdout.readline().strip()


def tickets(machine: Machine) -> list[dict[str, object]]:
    found: list[dict[str, object]] = machine.run("ticket", "list", "--json").json()["tickets"]
    return found


def test_a_ticket_ends_with_the_shell_that_asked_for_it_however_it_ends(ready: Machine) -> None:
    with shell(ready) as one:
        ticket = typed(one, f"{SCRIPTS}/aixtiv ticket new --name mine")
        assert ticket.startswith("aixtiv-ticket-")
        (held,) = tickets(ready)
        assert (held["name"], held["account"], held["holder"]) == ("mine", "anthropic", one.pid)
        assert str(held["program"]).startswith("/")
        one.send_signal(signal.SIGKILL)
        until(lambda: tickets(ready) == [], "the ticket has ended")
    ended = [line for line in audit(ready) if line["what"] == "ticket-end"]
    assert [(line["ticket"], line["detail"]) for line in ended] == [(held["id"], "the process that held it has ended")]


@pytest.mark.parametrize("behind", ["", "2>/dev/null", "| cat"])
@pytest.mark.parametrize("program", ["sh", "bash"])
def test_a_command_substitution_leaves_the_ticket_to_the_shell(ready: Machine, program: str, behind: str) -> None:
    """With a redirect bash runs the command in a fork of itself, which ends at once."""
    with shell(ready, program) as one:
        ticket = typed(one, f'T=$({SCRIPTS}/aixtiv ticket new {behind}); echo "$T"')
        assert ticket.startswith("aixtiv-ticket-")
        assert [held["holder"] for held in tickets(ready)] == [one.pid]
        one.kill()


def test_a_lasting_ticket_survives_a_killed_daemon_and_is_revoked_by_name(ready: Machine) -> None:
    assert ready.run("ticket", "new", "--lasting", "--name", "profile").code == 0
    assert ready.run("ticket", "new", "--lasting", "--ttl", "1h", "--name", "hour").code == 0
    ready.kill()
    ready.start()
    assert [held["name"] for held in tickets(ready)] == ["profile", "hour"]
    assert ready.run("ticket", "revoke", "profile").out == "1 ticket has ended\n"
    refused = ready.run("ticket", "revoke", "profile")
    assert (refused.code, refused.err.splitlines()[0]) == (1, "aixtiv: error: there is no ticket 'profile'")
    ready.kill()
    ready.start()
    assert [held["name"] for held in tickets(ready)] == ["hour"]


def audit(machine: Machine, *options: str) -> list[dict[str, object]]:
    ran = machine.run("audit", "--limit", "0", "--json", *options)
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def whats(machine: Machine) -> list[object]:
    return [record["what"] for record in audit(machine)]


def test_the_log_tells_who_did_what_and_is_whole(ready: Machine) -> None:
    assert ready.run("token", "anthropic", AIXTIV_AGENT_ID="agent-7").out == f"{KEY}\n"
    assert ready.run("token", "nobody").code == 1
    records = audit(ready)
    assert [record["number"] for record in records] == list(range(1, len(records) + 1))
    assert [record["what"] for record in records][:1] == ["start"]
    handed = [record for record in records if record["what"] == "token"]
    assert [(record["account"], record["ok"]) for record in handed] == [("anthropic", True), ("", False)]
    program = Path(str(handed[0]["program"]).split(" ")[0])
    assert program == Path(f"/proc/{os.getpid()}/exe").resolve()  # through the command it is who typed it
    verified = ready.run("audit", "verify", "--json").json()
    assert (verified["intact"], verified["problem"]) == (True, "")
    assert leaks([KEY], files_under(ready.state)) == []


def test_an_edited_log_is_told_with_exit_status_1(ready: Machine) -> None:
    audit(ready)
    log = ready.state / "audit.log"
    log.write_bytes(log.read_bytes().replace(b'"account":"anthropic"', b'"account":"anthropik"', 1))
    ran = ready.run("audit", "verify")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("aixtiv: error: the audit log is not whole: record 2, or the one before it, was altered")


STEPS = {
    "audit-half-written": ["start", "reload", "audit", "start"],  # a torn line is cut, and said
    "audit-half-written:2": ["start", "reload", "start", "audit", "start"],  # whole, and not yet sealed
    "audit-written": ["start", "reload", "start", "audit", "start"],
    "audit-sealed": ["start", "reload", "start", "start"],
}


@pytest.mark.parametrize("point", STEPS)
def test_killed_at_any_step_of_writing_it_the_log_goes_on_and_is_whole(folder: Path, point: str) -> None:
    with Machine(folder) as machine:
        machine.start()
        assert machine.run("reload").code == 0
        assert whats(machine) == ["start", "reload"]
        machine.kill()
        machine.spawn(**{VARIABLE: point})
        assert machine.ended() == -signal.SIGKILL
        machine.start()
        assert whats(machine) == STEPS[point]
        for _ in range(2):
            assert machine.run("audit", "verify", "--json").json()["intact"]
            assert machine.stop() == 0
            machine.start()


def test_a_second_daemon_writes_nothing_into_the_log(ready: Machine) -> None:
    before = audit(ready)
    second = subprocess.run(
        [SCRIPTS / "aixtivd"],
        env=ready.environ | {"AIXTIV_SOCKET": str(ready.runtime / "second.sock")},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert audit(ready) == before


def test_a_stopped_daemon_has_written_everything(ready: Machine) -> None:
    ready.run("token", "anthropic")
    assert ready.run("stop").code == 0
    assert ready.ended() == 0
    lines = [json.loads(line) for line in (ready.state / "audit.log").read_text().splitlines()]
    assert [line["what"] for line in lines][-2:] == ["token", "stop"]
    ready.start()
    assert ready.run("audit", "verify", "--json").json()["intact"]


def test_usage_of_nothing_is_said(ready: Machine) -> None:
    ran = ready.run("usage", "--since", "7")
    assert (ran.code, ran.out, ran.err) == (0, "", "aixtiv: nothing was relayed since then\n")
    assert ready.run("usage", "--json").json() == {"rows": [], "since": 0}
    assert ready.run("usage", "--since", "last week").code == 64
