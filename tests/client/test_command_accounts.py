"""What the command says of accounts and their keys, and which secret it takes from whom."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.commanded import ACCOUNT, AIXTIV, keeping, run, saying
from peers.scripted import Said, ScriptedDaemon


@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1, 70_000])
def test_a_secret_is_taken_whole_or_not_at_all(folder: Path, size: int) -> None:
    with ScriptedDaemon(folder, keeping(ACCOUNT)) as daemon:
        ran = run(folder, "api-key", "set", "work", stdin=f"{'k' * size}\n")
    if size <= 16 * 1024:
        assert daemon.asked == [requests.Accounts(), requests.ApiKey(account="work", key=Secret("k" * size))]
    else:
        sentence = (
            "aixtiv: error: that is longer than a secret can be (16 KiB)\naixtiv: hint: aixtiv api-key set --help\n"
        )
        assert (ran.stderr, ran.returncode, daemon.asked) == (sentence, 64, [])


def test_blanks_around_a_key_are_not_the_key_but_those_around_a_passphrase_are(folder: Path) -> None:
    locked = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=True, key_source="passphrase")
    answers: dict[type[requests.Request], Said] = {
        requests.ApiKey: ACCOUNT,
        requests.Status: locked,
        requests.Accounts: replies.AccountList(accounts=()),
    }
    with ScriptedDaemon(folder, lambda request: (answers.get(type(request), replies.Done()),)) as daemon:
        run(folder, "api-key", "set", "work", stdin="\t key \r\n")
        run(folder, "unlock", stdin=" words \n")
    assert daemon.asked[1] == requests.ApiKey(account="work", key=Secret("key"))
    assert daemon.asked[-1] == requests.Unlock(passphrase=Secret(" words "))


def test_a_secret_that_is_no_text_is_a_sentence(folder: Path) -> None:
    environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock"), "PYTHONUTF8": "1"}
    with ScriptedDaemon(folder, keeping(ACCOUNT)) as daemon:
        command = [AIXTIV, "api-key", "set", "work"]
        ran = subprocess.run(command, env=environ, input=b"\xff\xfe\n", capture_output=True, timeout=30, check=False)
    assert ran.stderr.startswith(b"aixtiv: error: ")
    assert (ran.returncode, daemon.asked) == (1, [requests.Accounts()])


@pytest.mark.parametrize("kind", ["oauth", "api-key"])
def test_a_key_beside_a_sign_in_is_said_not_to_be_what_token_gives(folder: Path, kind: replies.Kind) -> None:
    account = replies.Account(name="work", provider="work", kind=kind, state="fresh")
    with ScriptedDaemon(folder, keeping(account)):
        told = [run(folder, "api-key", "set", "work", stdin="k\n"), run(folder, "api-key", "remove", "work")]
    assert [ran.returncode for ran in told] == [0, 0]
    assert [ran.stderr.startswith("aixtiv: `aixtiv token work` goes on") for ran in told] == [kind == "oauth"] * 2


@pytest.mark.parametrize(("key", "word"), [(True, "replaced"), (False, "sealed")])
def test_a_key_in_the_place_of_another_is_said_to_be(folder: Path, key: bool, word: str) -> None:
    there = replies.Account(name="work", provider="work", kind="oauth", state="fresh", key=key)
    with ScriptedDaemon(folder, keeping(there, there)):
        ran = run(folder, "api-key", "set", "work", stdin="k\n")
    assert ran.stdout == f"{word} the API key of work\n"


def test_how_the_key_that_was_replaced_comes_back_is_said(folder: Path) -> None:
    there = replies.Account(name="work", provider="work", kind="api-key", state="static", key=True)
    with ScriptedDaemon(folder, keeping(there, there)):
        ran = run(folder, "api-key", "set", "work", stdin="k\n")
    assert ran.stderr == (
        "aixtiv: the one before is kept for a day; to have that back\naixtiv: hint: aixtiv account restore work\n"
    )


def test_where_the_credentials_of_an_account_go_is_said_when_it_is_made_and_what_was_forgotten_for_it(
    folder: Path,
) -> None:
    there = replies.Account(name="work", provider="work", kind="oauth", state="fresh", endpoint="https://proxy.example")
    with ScriptedDaemon(folder, keeping(there)):
        assert "endpoint  https://proxy.example\n" in run(folder, "api-key", "set", "work", stdin="k\n").stdout
    note = "the API key that work had was for another place, and is forgotten"
    with ScriptedDaemon(folder, saying(replies.SignedIn(account=there, note=note))):
        ran = run(folder, "login", "work", "--replace")
    assert "endpoint  https://proxy.example\n" in ran.stdout
    assert ran.stderr == f"aixtiv: {note}\n"


@pytest.mark.parametrize(
    ("provider", "endpoint", "key", "warned"),
    [
        ("anthropic", "", "sk-ant-api03-x", False),
        ("anthropic", "", "sk-1234", True),
        ("anthropic", "https://proxy.example", "sk-1234", False),
        ("github", "", "sk-1234", False),
    ],
)
def test_a_key_that_looks_like_none_of_anthropics_is_kept_with_a_warning(
    folder: Path, provider: str, endpoint: str, key: str, warned: bool
) -> None:
    kept = replies.Account(name="work", provider=provider, kind="api-key", state="static", key=True, endpoint=endpoint)
    with ScriptedDaemon(folder, keeping(kept)):
        ran = run(folder, "api-key", "set", "work", stdin=f"{key}\n")
    assert (ran.stdout.splitlines()[0], ran.returncode) == ("sealed the API key of work", 0)
    assert ran.stderr.startswith("aixtiv: warning: that does not look like an API key") is warned
    assert key not in ran.stderr


@pytest.mark.parametrize("command", ["accounts", "status", "whoami"])
@pytest.mark.parametrize(
    ("kind", "key", "shown"),
    [
        ("oauth", False, "sign-in"),
        ("oauth", True, "sign-in + API key"),
        ("federation", True, "federation + API key"),
        ("client-credentials", False, "client's own"),
        ("command", False, "command"),
        ("api-key", True, "API key"),
        ("moony", False, "moony"),
    ],
)
def test_what_an_account_is_is_shown(folder: Path, command: str, kind: replies.Kind, key: bool, shown: str) -> None:
    account = replies.Account(
        name="w", provider="p", kind=kind, state="fresh", key=key, endpoint="https://proxy.example", default=True
    )
    status = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False, accounts=(account,))
    answer = status if command == "status" else replies.AccountList(accounts=(account,))
    with ScriptedDaemon(folder, saying(answer)):
        ran = run(folder, command)
    assert re.search(rf"  {re.escape(shown)}(  |$)", ran.stdout, re.MULTILINE), ran.stdout
    assert ("https://proxy.example" in ran.stdout) is (command != "accounts")


def test_an_open_sign_in_that_was_all_that_a_logout_ended_is_said(folder: Path) -> None:
    gone = replies.LoggedOut(account="work", note="the API key of work stays", remains=True)
    with ScriptedDaemon(folder, saying(gone)):
        ran = run(folder, "logout", "work")
    assert ran.stdout == "ended the open sign-in to work\n"
    assert ran.stderr == "aixtiv: the API key of work stays\naixtiv: hint: aixtiv api-key remove work\n"


def test_which_account_a_sign_in_is_for_is_said_where_nobody_typed_it(folder: Path) -> None:
    only = replies.Account(name="work", provider="work", kind="oauth", state="fresh", default=True)
    answers: dict[type[requests.Request], Said] = {
        requests.Accounts: replies.AccountList(accounts=(only,)),
        requests.Login: replies.SignedIn(account=only),
    }

    def script(request: requests.Request) -> Iterable[Said]:
        yield answers[type(request)]

    with ScriptedDaemon(folder, script):
        told = [run(folder, "login", *words).stderr for words in ((), ("work",), ("--account", "work"))]
    assert told == ["aixtiv: no account was named, and so this is work: it is the only one\n", "", ""]
