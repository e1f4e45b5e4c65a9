"""The audit log in several files, with real daemons: killed at each step from one file to the next, and followed."""

import json
import signal

import pytest

from aixtiv_protocol import requests
from aixtivd.host.faults import VARIABLE
from peers.audits import older
from peers.machine import PATIENCE, Machine
from peers.waiting import until

KEY = "sk-ant-api03-made-up-for-this-test-only"
AGENT = "漢" * 380  # a record of more than a kilobyte
ENOUGH = 800  # of those, for a file of one MiB


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """With an account."""
    assert machine.run("api-key", "set", "anthropic", stdin=f"{KEY}\n").code == 0
    return machine


def again(machine: Machine, audit: str, **environ: str) -> None:
    machine.stop()
    machine.configure(f'[vault]\nkey = "file"\n\n[audit]\n{audit}\n')
    machine.start(**environ)


def ask(machine: Machine, times: int) -> None:
    """For the token, until the daemon has it all on disk or has died of it."""
    try:
        with machine.conversation() as talk:
            for number in range(times):
                talk.say(requests.Token(account="anthropic", agent=f"{AGENT}{number}"))  # equal ones are one record
                talk.hear()
            talk.say(requests.Audit(limit=1))
            talk.hear()
    except (EOFError, ConnectionError):
        pass


def numbers(machine: Machine) -> list[int]:
    ran = machine.run("audit", "--limit", "0", "--json")
    assert ran.code == 0, ran.err
    return [json.loads(line)["number"] for line in ran.out.splitlines()]


@pytest.mark.parametrize("point", ["audit-turning", "audit-turned", "audit-dropping"])
def test_killed_between_two_files_the_log_goes_on_and_is_whole(ready: Machine, point: str) -> None:
    kept = 0 if point == "audit-dropping" else 3
    again(ready, f"size = 1\nfiles = {kept}", **{VARIABLE: point})
    ask(ready, ENOUGH)
    ask(ready, 1)
    assert ready.ended() == -signal.SIGKILL
    ready.start()
    ask(ready, ENOUGH)
    ask(ready, 1)
    assert len(older(ready.state)) == min(kept, 2)
    known = numbers(ready)
    assert known == list(range(known[0], known[0] + len(known)))
    verdict = ready.run("audit", "verify", "--json").json()
    assert (verdict["intact"], verdict["first"], verdict["records"]) == (True, known[0], len(known))
    assert (known[0] == 1) == bool(kept)


def test_a_new_key_of_the_vault_leaves_every_file_proven(ready: Machine) -> None:
    again(ready, "size = 1")
    ask(ready, ENOUGH)
    ask(ready, 1)
    assert ready.run("key", "rotate").code == 0
    ask(ready, ENOUGH)
    ask(ready, 1)
    assert len(older(ready.state)) == 2
    for _ in range(2):
        assert ready.run("audit", "verify", "--json").json()["intact"]
        ready.kill()
        ready.start()


def test_a_file_that_is_taken_away_is_told_with_exit_status_1(ready: Machine) -> None:
    again(ready, "size = 1")
    ask(ready, ENOUGH)
    ask(ready, 1)
    (file,) = older(ready.state)
    assert ready.run("audit", "verify").code == 0
    assert "store" not in json.loads(ready.run("doctor", "--json").out.splitlines()[0])
    file.chmod(0o644)
    assert f"{file.name} is open to others" in ready.run("doctor").out
    file.unlink()
    ran = ready.run("audit", "verify")
    assert (ran.code, ran.out) == (1, "")
    assert f"missing: {file.name} is not there" in ran.err


def test_who_follows_sees_what_happens_until_the_daemon_ends(ready: Machine) -> None:
    with (
        ready.running("audit", "--follow", "--limit", "1", "--json") as programs,
        ready.running("audit", "-f", "--limit", "0") as person,
    ):
        assert programs.stdout
        assert programs.stderr
        assert person.stdout
        assert json.loads(programs.stdout.readline())["what"] == "api-key"
        assert "start" in person.stdout.readline()
        assert "api-key" in person.stdout.readline()
        ready.run("reload", AIXTIV_AGENT_ID="agent-7")
        record = json.loads(programs.stdout.readline())
        assert (record["what"], record["agent"]) == ("reload", "agent-7")
        assert "reload" in person.stdout.readline()
        assert ready.run("stop").code == 0
        assert programs.wait(PATIENCE) == 1
        assert programs.stderr.read().startswith("aixtiv: error: the daemon is stopping")


def test_the_config_can_be_changed_while_it_runs(ready: Machine) -> None:
    again(ready, "size = 16")
    ask(ready, ENOUGH)
    ready.configure('[vault]\nkey = "file"\n\n[audit]\nsize = 1\nfiles = 0\n')
    assert ready.run("reload").code == 0
    ask(ready, 1)
    until(lambda: numbers(ready)[0] > ENOUGH, "the first file was dropped")
    assert "were dropped: audit.files is 0" in ready.run("audit").out
    assert "those before record" in ready.run("audit", "verify").out
