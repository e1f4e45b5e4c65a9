"""A key typed where an account's name belongs: refused before anything is sent, and in no log whoever sends it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Failure
from aixtiv_protocol.secret import Secret
from peers.leaks import files_under, leaks
from peers.machine import Machine

TYPED = "sk-ant-api03-typed-where-a-name-belongs-0123"
RANDOM = "Zm9vYmFyYmF6cXV4-Zm9vYmFyYmF6cXV4_Zm9vYmFyYmF6cXV4-Zm9vYmFyYmF6cXV4"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with TemporaryDirectory(prefix="aix-", dir="/tmp") as folder, Machine(Path(folder)) as machine:
        machine.configure('log = "debug"\n')
        machine.start()
        yield machine


@pytest.mark.parametrize(
    "words",
    [
        ("api-key", "set"),
        ("api-key", "remove"),
        ("login",),
        ("login", "company", "--federation", "R", "--organization", "O", "--identity-account"),
        ("token",),
        ("token", "--json"),
        ("claude-key",),
        ("logout",),
        ("whoami",),
        ("callback",),
        ("ticket", "new"),
        ("setup", "env", "--account"),
        ("claude", "ask", "hi", "--account"),
    ],
    ids=" ".join,
)
def test_the_command_refuses_it_and_does_not_repeat_it(machine: Machine, words: tuple[str, ...]) -> None:
    ran = machine.run(*words, TYPED, stdin="k\n")
    assert ran.code == 64
    assert ran.err.startswith("aixtiv: error: that is no account's name: it looks like a key or a token")
    assert ran.out == ""
    assert TYPED not in ran.err
    assert leaks([TYPED], files_under(machine.home) | {"log": machine.log.encode()}) == []


@pytest.mark.parametrize("name", [TYPED, f"work/{TYPED}", RANDOM, f"{TYPED}=", "pass word 0123456789"])
def test_who_sends_it_past_the_command_gets_a_sentence_without_it_and_no_log_has_it(
    machine: Machine, name: str
) -> None:
    for asked in (
        requests.ApiKey(account=name, key=Secret("k")),
        requests.ApiKey(account=name),
        requests.Login(account=name),
        requests.Logout(account=name),
        requests.Token(account=name),
        requests.Refresh(account=name),
        requests.Ticket(account=name),
        requests.Relay(account=name, path="/v1/models"),
        requests.Callback(account=name, pasted=Secret("code")),
    ):
        answer = machine.ask(asked)
        assert isinstance(answer, Failure), asked
        assert name not in f"{answer.message} {answer.hint}", asked
    machine.run("audit", "--limit", "0")  # what waited to be written is written
    assert leaks([name], files_under(machine.home) | {"log": machine.log.encode()}) == []
