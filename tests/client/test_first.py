"""`aixtiv` alone at a terminal, opposite a daemon that says how things are; and what an issuer's account is called."""

import sysconfig
from pathlib import Path

import pytest

from aixtiv.commands.first import _unknown, _ways, named
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


def test_no_way_asks_more_than_three_questions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, those of the way itself, and the hidden prompts of its command."""
    for name in ("ANTHROPIC_API_KEY", "DR_CLAUDE_API", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    keys = "export ANTHROPIC_API_KEY=sk-ant-api03-0123456789\nexport DR_CLAUDE_API=sk-ant-api03-another\n"
    (folder / ".bashrc").write_text(f"{keys}export GITHUB_OAUTH_CLIENT_ID=one\n")
    asked: list[str] = []

    def answer(text: str, **_: object) -> str:
        asked.append(text)
        return "http://127.0.0.1:1"

    monkeypatch.setattr("click.prompt", answer)
    monkeypatch.setattr("click.confirm", answer)
    ways = _ways()
    assert len(ways) == 5
    for way in ways:
        asked[:] = ["which way"]
        words = way.words()
        hidden = words.count("--client-secret") + (words[:1] == ["api-key"])
        assert words[0] != "import" or "--yes" in words, "it would ask about each thing"
        assert len(asked) + hidden <= 3, words


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


def test_an_address_that_leads_nowhere_is_asked_for_again_before_anything_else(folder: Path) -> None:
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    nobody = saying(replies.AccountList(accounts=()))
    with ScriptedDaemon(folder, nobody), Terminal([AIXTIV], environ, folder) as person:
        assert max(map(len, person.until("or Enter to leave").splitlines())) <= 80
        person.type("4\n")
        for typed, told in (
            ("https://[x", "that is no address"),
            ("https://a..b.example", "a..b.example is not found"),
        ):
            person.until("like https://id.example.org: ")
            person.type(f"{typed}\n")
            person.until(told)
        person.until("like https://id.example.org: ")
        person.type("http://127.0.0.1:1\n")
        person.until("your client id there: ")


def test_behind_a_proxy_the_names_are_the_proxys_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "https://a..b.example"
    assert _unknown(nowhere)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert _unknown(nowhere) == ""
