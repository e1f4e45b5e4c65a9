"""The daemon locked by a signal, and what opens it again."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGUSR1

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.machine import Machine
from peers.waiting import until


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        yield machine


def status(machine: Machine) -> replies.DaemonStatus:
    found = machine.ask(requests.Status())
    assert isinstance(found, replies.DaemonStatus)
    return found


def furnished(machine: Machine) -> None:
    key = requests.ApiKey(account="static", key=Secret("sk-made-up-for-this-test"))
    assert isinstance(machine.ask(key), replies.Account)


def test_a_signal_locks_it_and_says_why(machine: Machine) -> None:
    machine.start()
    furnished(machine)
    machine.signal(SIGUSR1)
    found = until(lambda: (found := status(machine)).locked and found, "locked by a signal")
    assert isinstance(found, replies.DaemonStatus)
    assert (found.lock_reason, found.accounts) == ("a signal asked for it, so it was locked", ())
    assert isinstance(machine.ask(requests.Unlock()), replies.Done)
    with machine.conversation() as talk:
        talk.say(requests.Audit())
        heard = []
        while isinstance(record := talk.hear(), replies.AuditRecord):
            heard.append((record.what, record.detail, record.ok))
    assert ("lock", "a signal asked for it", True) in heard
    assert machine.stop() == 0


def test_no_request_opens_it_again_but_unlock_though_nobody_has_to_type_anything(machine: Machine) -> None:
    """The key lies in a file."""
    machine.start()
    furnished(machine)
    assert isinstance(machine.ask(requests.Lock()), replies.Done)
    others = (
        requests.Token(account="static"),
        requests.Accounts(),
        requests.Examine(),
        requests.Reload(),
        requests.KeyCheck(),
        requests.Ticket(account="static"),
        requests.Relay(path="/v1/models"),
        requests.Export(new_passphrase=Secret("a passphrase of its own")),
    )
    for asked in others:
        failure = machine.ask(asked)
        assert isinstance(failure, replies.Failure)
        assert (failure.code, failure.hint) == ("locked", "aixtiv unlock"), asked
    assert status(machine).locked
    assert isinstance(machine.ask(requests.Unlock()), replies.Done)
    assert machine.token("static").access_token.reveal() == "sk-made-up-for-this-test"


def test_a_signal_that_comes_while_it_starts_is_not_forgotten(machine: Machine) -> None:
    machine.start().stop()
    process = machine.spawn()
    until(lambda: b"SIGUSR1 handled" if _catches(process.pid) else b"", "the signal's handler")
    machine.signal(SIGUSR1)
    until(machine.answers, "the daemon listens")
    until(lambda: status(machine).locked, "locked by the signal")


def _catches(pid: int) -> bool:
    """Whether the process has a handler for it: proc(5), SigCgt."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (SIGUSR1 - 1) & 1)
