"""`aixtiv` alone at a terminal, opposite a daemon that says how things are; and what an issuer's account is called."""

import sysconfig
from pathlib import Path

import pytest

from aixtiv.commands.first import named
from aixtiv_protocol import replies
from peers.commanded import saying
from peers.scripted import ScriptedDaemon
from peers.terminal import Terminal

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("https://accounts.google.com", "google"),
        ("https://gitlab.com", "gitlab"),
        ("https://sso.example.org:8443/realms/main", "example"),
        ("http://localhost:8080", "company"),
        ("http://127.0.0.1:8080", "company"),
        ("https://[::1]/x", "company"),
        ("nonsense", "company"),
    ],
)
def test_an_account_is_called_as_a_person_calls_its_host(issuer: str, name: str) -> None:
    assert named(issuer) == name


def account(name: str, state: replies.State) -> replies.Account:
    return replies.Account(name=name, provider=name, kind="oauth", state=state)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (replies.AccountList(accounts=(account("a", "fresh"),)), "1 account, all in order; `aixtiv status` says more"),
        (
            replies.AccountList(accounts=(account("a", "failing"), account("b", "expired"))),
            "2 accounts; something is wrong with a: `aixtiv status` says what",
        ),
        (replies.Failure(code="locked", message="the vault is locked", hint="aixtiv unlock"), "aixtiv unlock"),
        (replies.Failure(code="denied", message="this caller may not list"), "this caller may not list"),
    ],
)
def test_where_something_is_set_up_it_shows_its_help_and_how_things_are(
    folder: Path, reply: replies.Reply, told: str
) -> None:
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    with ScriptedDaemon(folder, saying(reply)), Terminal([AIXTIV], environ, folder) as person:
        assert person.ended() == 64
        assert "Usage: aixtiv [OPTIONS] COMMAND [ARGS]..." in person.shown
        assert told in person.shown
        assert "What shall it keep first" not in person.shown


def test_a_daemon_without_accounts_is_a_beginning(folder: Path) -> None:
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    nobody = saying(replies.AccountList(accounts=()))
    with ScriptedDaemon(folder, nobody), Terminal([AIXTIV], environ, folder) as person:
        person.until("or Enter to leave")
        person.type("\n")
        assert person.ended() == 0
