"""`aixtiv` alone: at a terminal with nothing set up, to a working account in three questions; in a pipe, its help."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.authority.process import authorization_server
from peers.machine import SCRIPTS, Machine
from peers.terminal import Terminal

TESTS = Path(__file__).parents[1]
VISIT = f"import sys; sys.path.insert(0, '{TESTS}'); from peers.person import visit; visit(sys.argv[1])"
ADA = f'{sys.executable} -c "{VISIT}" %s'
KEY = "sk-ant-api03-of-a-newcomer-0123456789"
ASKED = "1 to 4, or Enter to leave"
LEFT = "nothing was set up; `aixtiv` alone asks again"


@pytest.fixture
def fresh(folder: Path) -> Iterator[Machine]:
    """On which nothing ever ran; a command may start the daemon."""
    with Machine(folder) as machine:
        machine.environ["AIXTIV_NO_START"] = ""
        yield machine
        machine.run("stop")


def alone(machine: Machine, **environ: str) -> Terminal:
    return Terminal([str(SCRIPTS / "aixtiv")], machine.environ | environ, machine.home)


def test_three_answers_lead_to_a_token_and_its_command_is_shown(fresh: Machine) -> None:
    with authorization_server() as server, alone(fresh, BROWSER=ADA) as person:
        person.until(ASKED)
        person.type("4\n")
        person.until("its issuer")
        person.type(f"{server.issuer}\n")
        person.until("your client id there")
        person.type("native\n")
        person.until(f"$ aixtiv login company --issuer {server.issuer} --client-id native\n")
        person.until("signed in to company as ada@example.test")
        assert person.ended() == 0
        assert "aixtiv token company\n" in person.shown
        assert server.active(fresh.run("token", "company").out.strip(), "native")


def test_two_answers_seal_an_api_key_which_is_not_shown(fresh: Machine) -> None:
    with alone(fresh) as person:
        person.until(ASKED)
        person.type("1\n")
        person.until("API key for anthropic: ")
        person.type(f"{KEY}\n")
        assert person.ended() == 0
        assert "sealed the API key of anthropic" in person.shown
        assert 'aixtiv claude ask "hello"\n' in person.shown
        assert KEY not in person.shown
    assert fresh.run("token", "anthropic").out == f"{KEY}\n"


def test_a_key_that_the_shell_has_needs_one_answer(fresh: Machine) -> None:
    with alone(fresh, ANTHROPIC_API_KEY=KEY) as person:
        assert "1  Claude: the API key that ANTHROPIC_API_KEY holds" in person.until(ASKED)
        person.type("1\n")
        assert person.ended() == 0
    assert fresh.run("token", "anthropic").out == f"{KEY}\n"


def test_what_lies_about_can_be_taken_over_by_one_more_answer(fresh: Machine) -> None:
    """However much lies about: a client id, and the file itself, are no further questions."""
    profile = f"export ANTHROPIC_API_KEY={KEY}\nexport GITHUB_OAUTH_CLIENT_ID=one\n"
    (fresh.home / ".bashrc").write_text(profile)
    with alone(fresh) as person:
        person.until("5  take over what other programs have here: an API key")
        person.until("1 to 5, or Enter to leave")
        person.type("5\n")
        person.until("~/.bashrc:1 ANTHROPIC_API_KEY: can be sealed as anthropic\n")
        person.until("take over all of this (no file is changed)? [y/N]")
        person.type("y\n")
        assert person.ended() == 0
        assert "$ aixtiv import --yes\n" in person.shown
        assert re.search(r"~/.bashrc still holds it\n.*hint:.* aixtiv import\n", person.shown)
    assert (fresh.home / ".bashrc").read_text() == profile
    assert fresh.run("token", "anthropic").out == f"{KEY}\n"


def test_what_lies_about_can_be_left_there(fresh: Machine) -> None:
    (fresh.home / ".bashrc").write_text(f"export ANTHROPIC_API_KEY={KEY}\n")
    with alone(fresh) as person:
        person.until("1 to 5, or Enter to leave")
        person.type("5\n")
        person.until("[y/N]")
        person.type("\n")
        person.until(LEFT)
        assert person.ended() == 0
    assert not fresh.state.exists()


@pytest.mark.parametrize(("typed", "code"), [("\n", 0), ("\x03", 130), ("4\n\n", 0), ("4\n\x03", 130)])
def test_every_question_can_be_left_and_nothing_was_started(fresh: Machine, typed: str, code: int) -> None:
    with alone(fresh) as person:
        person.until(f"{ASKED}: ")
        if typed.startswith("4\n"):
            person.type("4\n")
            person.until("https://id.example.org: ")
        if typed.endswith("\x03"):
            person.interrupt(LEFT)
        else:
            person.type("\n")
            person.until(LEFT)
        assert person.ended() == code
    assert not fresh.state.exists()


def test_an_empty_answer_at_a_hidden_prompt_is_a_sentence_too(fresh: Machine) -> None:
    with alone(fresh) as person:
        person.until(ASKED)
        person.type("1\n")
        person.until("API key for anthropic: ")
        person.type("\n")
        assert person.ended() == 64
        assert "nothing was typed" in person.shown


def test_a_number_that_is_none_is_asked_for_again(fresh: Machine) -> None:
    with alone(fresh) as person:
        for wrong in ("0", "5", "GitHub"):
            person.until(ASKED)
            person.type(f"{wrong}\n")
            person.until("that is no number from 1 to 4")
        person.until(ASKED)
        person.type("\n")
        assert person.ended() == 0


def test_in_a_pipe_nobody_is_asked_and_nothing_is_started(fresh: Machine) -> None:
    ran = fresh.run()
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith("Usage: aixtiv ")
    assert "What shall it keep first" not in ran.err
    assert not fresh.state.exists()


def test_with_accounts_it_says_how_they_are_beside_its_help(fresh: Machine) -> None:
    fresh.run("api-key", "set", stdin=f"{KEY}\n")
    with alone(fresh) as person:
        assert person.ended() == 64
        assert person.shown.startswith("Usage: aixtiv ")
        assert person.shown.endswith("aixtiv: 1 account, all in order; `aixtiv status` says more\n")


def test_where_a_daemon_ran_and_does_not_now_nobody_is_asked(fresh: Machine) -> None:
    fresh.run("api-key", "set", stdin=f"{KEY}\n")
    fresh.run("stop")
    with alone(fresh) as person:
        assert person.ended() == 64
        assert person.shown.startswith("Usage: aixtiv ")
