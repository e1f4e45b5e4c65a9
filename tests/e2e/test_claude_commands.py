"""`aixtiv claude …` against the real daemon and a strict Claude: what a person and a script see."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from aixtiv.claude import MODEL
from aixtiv.offline import MARK
from peers.claude_api.process import sent
from peers.claude_api.weather import failure, overloaded, too_many
from peers.desk import KEY, Desk, desk


def asked(at: Desk, which: int = -1) -> Any:
    return json.loads(at.claude.requests[which]["body"])


def api_config(at: Desk, **said: str) -> None:
    file = at.machine.home / ".aixtiv/api-config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"claude": {"api": said}}))


# ---- ask


def test_ask_prints_the_answer_and_a_newline_and_nothing_else(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "ask", "why", "is", "it", "blue")
    assert (ran.out, ran.err, ran.code) == ("You said: why is it blue\n", "", 0)
    heard = signed_in.claude.requests[-1]
    assert sent(heard, "authorization") == f"Bearer {signed_in.server.newest}"
    assert sent(heard, "accept-encoding") == "identity"
    assert sent(heard, "anthropic-version") == "2023-06-01"
    assert asked(signed_in) == {
        "model": MODEL,
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "why is it blue"}],
        "stream": True,
    }


def test_ask_takes_the_prompt_from_stdin_or_from_both(signed_in: Desk) -> None:
    signed_in.machine.run("claude", "ask", stdin="from stdin\n")
    assert asked(signed_in)["messages"][0]["content"] == "from stdin"
    signed_in.machine.run("claude", "ask", "explain", stdin="this\nand that\n")
    assert asked(signed_in)["messages"][0]["content"] == "explain\n\nthis\nand that"
    ran = signed_in.machine.run("claude", "ask")
    assert ran.code == 64
    assert "there is no prompt" in ran.err


def test_ask_hands_on_what_was_chosen(signed_in: Desk) -> None:
    words = ("--system", "be brief", "--max-tokens", "7", "--model", "m-1", "--agent", "agent-7")
    signed_in.machine.run("claude", "ask", *words, "hi")
    assert {name: asked(signed_in)[name] for name in ("system", "max_tokens", "model")} == {
        "system": "be brief",
        "max_tokens": 7,
        "model": "m-1",
    }
    assert sent(signed_in.claude.requests[-1], "x-agent-id") == "agent-7"
    signed_in.machine.run("claude", "ask", "hi", AIXTIV_CLAUDE_MODEL="m-2", AIXTIV_AGENT_ID="agent-8")
    assert asked(signed_in)["model"] == "m-2"
    assert sent(signed_in.claude.requests[-1], "x-agent-id") == "agent-8"


def test_ask_json_is_the_whole_answer(signed_in: Desk) -> None:
    answer = signed_in.machine.run("claude", "ask", "--json", "hi").json()
    assert answer["content"] == [{"type": "text", "text": "You said: hi"}]
    assert "stream" not in asked(signed_in)


def test_ask_prints_what_came_before_the_stream_broke_off(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "ask", "--model", "fail-error-event", "one two three four five six")
    assert ran.code == 4
    assert ran.out.startswith("You said:")
    assert ran.out.endswith("\n")
    assert ran.err == "aixtiv: error: Claude broke off its answer (overloaded_error: Overloaded)\n"


@pytest.mark.parametrize("model", ["fail-cut", "fail-closed"])
def test_a_connection_that_is_cut_is_a_sentence(signed_in: Desk, model: str) -> None:
    ran = signed_in.machine.run("claude", "ask", "--model", model, "one two three")
    assert ran.code == 4
    assert ran.err.startswith("aixtiv: error: ")
    assert "Traceback" not in ran.err


def test_refusals_are_one_sentence_each(signed_in: Desk) -> None:
    signed_in.claude.set_weather(too_many("7"), overloaded(), failure(403, "permission_error", "not for you"))
    limited, busy, forbidden = (signed_in.machine.run("claude", "ask", "hi") for _ in range(3))
    assert (limited.code, busy.code, forbidden.code) == (1, 4, 1)
    assert "rate_limit_error" in limited.err
    assert "again in 7 seconds" in limited.err
    assert "overloaded_error" in busy.err
    assert "permission_error: not for you" in forbidden.err
    assert limited.out == busy.out == forbidden.out == ""


def test_nobody_signed_in_is_exit_3_with_the_command_to_type(at: Desk) -> None:
    ran = at.machine.run("claude", "ask", "hi")
    assert ran.code in (1, 3)
    assert "aixtiv: hint: aixtiv api-key set anthropic" in ran.err


# ---- who pays


def test_the_key_of_the_environment_pays_where_nobody_signed_in_and_a_warning_says_so(at: Desk) -> None:
    ran = at.machine.run("claude", "ask", "hi", ANTHROPIC_API_KEY=KEY)
    assert (ran.out, ran.code) == ("You said: hi\n", 0)
    assert ran.err.startswith("aixtiv: warning: ")
    assert KEY not in ran.err
    assert sent(at.claude.requests[-1], "x-api-key") == KEY


def test_the_sign_in_pays_before_the_key_of_the_environment(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "ask", "hi", ANTHROPIC_API_KEY=KEY)
    assert (ran.out, ran.err) == ("You said: hi\n", "")
    assert sent(signed_in.claude.requests[-1], "x-api-key") == ""


def test_the_old_file_forbids_the_key(at: Desk) -> None:
    file = at.machine.home / ".aixtiv/api-config.json"
    file.parent.mkdir()
    file.write_text('{"claude": {"api": {"auth": {"type": "oauth2", "fallback": "none"}}}}')
    ran = at.machine.run("claude", "ask", "hi", ANTHROPIC_API_KEY=KEY)
    assert ran.code != 0
    assert not at.claude.requests


@pytest.mark.parametrize("command", [("ask", "hi"), ("code", "generate", "hi"), ("api", "GET", "/v1/models")])
@pytest.mark.parametrize(
    "api",
    [
        {"endpoint": "${CLAUDE_PLACE}/v1/messages"},
        {"endpoint": "https://${CLAUDE_PLACE}"},
        {"version": "${CLAUDE_PLACE}"},
    ],
)
def test_what_a_variable_of_the_old_file_holds_is_not_repeated(
    signed_in: Desk, command: tuple[str, ...], api: dict[str, str]
) -> None:
    file = signed_in.machine.home / ".aixtiv/api-config.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"claude": {"api": api}}))
    file.chmod(0o600)
    value = "https://hidden.example:8443" if api.get("endpoint", "").startswith("$") else "hidden.example"
    try:
        ran = signed_in.machine.run("claude", *command, CLAUDE_PLACE=value)
    finally:
        file.unlink()
    assert (ran.code, "${CLAUDE_PLACE}" in ran.err) == (1, True)
    assert "hidden" not in ran.err


@pytest.mark.parametrize("command", [("claude", "ask", "hi"), ("login", "anthropic", "--client-id", "x")])
def test_an_old_file_that_hangs_or_never_ends_is_refused_with_a_sentence(
    signed_in: Desk, command: tuple[str, ...]
) -> None:
    file = signed_in.machine.home / ".aixtiv/api-config.json"
    file.parent.mkdir(exist_ok=True)
    for make, sentence in (
        (os.mkfifo, "is not a plain file"),
        (lambda path: path.write_text('{"a":' * 50_000), "is nested too deeply"),
    ):
        make(file)
        try:
            ran = signed_in.machine.run(*command)
        finally:
            file.unlink()
        assert (ran.code, ran.err.startswith(f"aixtiv: error: {file} {sentence}\n")) == (1, True), ran.err


def test_a_sealed_credential_never_goes_to_an_endpoint_of_the_environment(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "ask", "hi", CLAUDE_API_ENDPOINT="https://thief.example/v1/messages")
    assert ran.code == 1
    assert "thief.example" in ran.err
    assert not signed_in.claude.requests


@pytest.mark.parametrize(
    ("environ", "sentence", "hint"),
    [
        ({"CLAUDE_API_ENDPOINT": "https://thief.example"}, "CLAUDE_API_ENDPOINT says", "unset CLAUDE_API_ENDPOINT"),
        ({"DR_CLAUDE_API": "https://thief.example/v1"}, "DR_CLAUDE_API says", "unset DR_CLAUDE_API"),
        ({"CLAUDE_API_ENDPOINT": "claude"}, "CLAUDE_API_ENDPOINT says", "unset CLAUDE_API_ENDPOINT"),
        ({}, "~/.aixtiv/api-config.json says", "$EDITOR "),
    ],
)
def test_where_a_wrong_endpoint_comes_from_is_said(
    signed_in: Desk, environ: dict[str, str], sentence: str, hint: str
) -> None:
    if not environ:
        api_config(signed_in, endpoint="https://thief.example/v1/messages")
    for ran in (
        signed_in.machine.run("claude", "ask", "hi", **environ),
        signed_in.machine.run("api-key", "set", "anthropic", stdin="sk-ant-api03-k\n", **environ),
    ):
        assert ran.code == 1
        assert f"; {sentence} that address\n" in ran.err
        assert f"aixtiv: hint: {hint}" in ran.err
    assert not signed_in.claude.requests


def test_a_version_that_the_old_file_says_and_claude_does_not_take_is_traced_to_it(signed_in: Desk) -> None:
    api_config(signed_in, version="2001-01-01")
    message = 'anthropic-version: "2001-01-01" is not a valid version'
    signed_in.claude.set_weather(*[failure(400, "invalid_request_error", message)] * 2)
    filed = signed_in.machine.run("claude", "api", "GET", "/v1/models")
    typed = signed_in.machine.run("claude", "api", "GET", "/v1/models", "-H", "anthropic-version: 2001-01-01")
    assert "; ~/.aixtiv/api-config.json says that version" in filed.err
    assert "aixtiv: hint: $EDITOR" in filed.err
    assert "api-config" not in typed.err


def test_a_key_that_claude_does_not_take_is_named_by_where_it_came_from(at: Desk) -> None:
    wrong = "sk-ant-api03-wrong"
    at.claude.set_weather(*[failure(401, "authentication_error", "invalid x-api-key")] * 2)
    shells = at.machine.run("claude", "ask", "hi", DR_CLAUDE_API=wrong)
    assert "Claude does not take the key in DR_CLAUDE_API" in shells.err
    assert at.machine.run("api-key", "set", stdin=f"{wrong}\n").code == 0
    sealed = at.machine.run("claude", "ask", "hi", DR_CLAUDE_API=wrong)
    assert "Claude does not take the API key of anthropic" in sealed.err
    assert "aixtiv: hint: aixtiv api-key set anthropic\n" in sealed.err
    assert (shells.code, sealed.code) == (3, 3)
    assert wrong not in shells.err + sealed.err


def test_the_endpoint_in_its_old_form_is_understood(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "ask", "hi", CLAUDE_API_ENDPOINT=f"{signed_in.claude.url}/v1/messages")
    assert ran.out == "You said: hi\n"


def test_a_stray_file_in_the_current_folder_is_not_read_and_that_is_said(signed_in: Desk) -> None:
    (signed_in.machine.home / "api-config.json").write_text('{"claude": {"api": {"endpoint": "https://thief"}}}')
    ran = signed_in.machine.run("claude", "ask", "hi")
    assert ran.out == "You said: hi\n"
    assert "api-config.json in this folder is not read" in ran.err


# ---- code generate


@pytest.mark.parametrize("command", [("claude", "code", "generate"), ("claude:code:generate",)])
def test_code_is_written_without_its_fences(signed_in: Desk, command: tuple[str, ...]) -> None:
    signed_in.claude.reply("Here:\n\n```python\nprint(1)\n```\n")
    ran = signed_in.machine.run(*command, "-t", "print one", "-l", "python", "-o", "one.py")
    assert (ran.out, ran.err, ran.code) == ("", "aixtiv: wrote one.py\n", 0)
    assert (signed_in.machine.home / "one.py").read_text() == "print(1)\n"
    assert "python" in asked(signed_in)["system"]
    assert asked(signed_in)["messages"][0]["content"] == "print one"
    ran = signed_in.machine.run(*command, "print one", "-o", "one.py")
    assert ran.err == "aixtiv: overwrote one.py\n"
    assert signed_in.machine.run(*command, "print one").out == "print(1)\n"


def test_code_as_json(signed_in: Desk) -> None:
    signed_in.claude.reply("```go\npackage main\n```")
    made = signed_in.machine.run("claude", "code", "generate", "--json", "-l", "go", "nothing").json()
    assert (made["source"], made["language"], made["code"]) == ("claude", "go", "package main\n")
    assert (made["account"], made["kind"], made["note"], made["output"]) == ("anthropic", "oauth", "", "")


def check_template(out: str, err: str, code: int) -> None:
    assert code == 5
    assert MARK in out
    assert "aixtiv: error: " in err
    assert "aixtiv: error: this is the offline template and not Claude's answer" in err
    assert "; why: " in err
    assert "aixtiv: hint: " in err


def test_a_404_gives_the_template(signed_in: Desk) -> None:
    signed_in.claude.set_weather(failure(404, "not_found_error", "Not found"))
    ran = signed_in.machine.run("claude", "code", "generate", "sort", "-l", "python", stdin="")
    check_template(ran.out, ran.err, ran.code)


@pytest.mark.parametrize("model", ["fail-html", "fail-redirect"])
def test_a_captive_portal_gives_the_template(signed_in: Desk, model: str) -> None:
    ran = signed_in.machine.run("claude", "code", "generate", "sort", "--model", model)
    check_template(ran.out, ran.err, ran.code)
    assert "what answered is not Claude" in ran.err


def test_a_model_that_is_not_there_gives_no_template(signed_in: Desk) -> None:
    signed_in.claude.set_weather(failure(404, "not_found_error", "model: claude-9"))
    ran = signed_in.machine.run("claude", "code", "generate", "sort")
    assert (ran.out, ran.code) == ("", 1)
    assert ran.err.endswith("aixtiv: hint: aixtiv claude api GET /v1/models\n")


def test_nobody_at_the_endpoint_gives_the_template(folder: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with desk(folder) as at:
            at.machine.configure(f'[api.anthropic]\norigin = "http://127.0.0.1:{nobody.getsockname()[1]}"\n')
            assert at.machine.run("reload").code == 0
            at.sign_in()
            ran = at.machine.run("claude", "code", "generate", "sort")
    check_template(ran.out, ran.err, ran.code)


def test_no_daemon_gives_the_template_and_says_how_to_start_it(folder: Path) -> None:
    with desk(folder) as at:
        at.machine.stop()
        ran = at.machine.run("claude", "code", "generate", "sort", "--output", "x.go")
        check_template((at.machine.home / "x.go").read_text(), ran.err, ran.code)
        assert "the daemon is not running" in ran.err
        told = at.machine.run("claude", "code", "generate", "sort", "--json")
    assert told.code == 5
    assert json.loads(told.out)["source"] == "offline"


def test_a_template_never_overwrites_a_file(folder: Path) -> None:
    with desk(folder) as at:
        at.machine.stop()
        mine = at.machine.home / "x.py"
        mine.write_text("mine")
        ran = at.machine.run("claude", "code", "generate", "sort", "-o", "x.py")
    assert ran.code == 5
    assert mine.read_text() == "mine"
    assert "x.py is left as it was" in ran.err
    assert MARK in ran.out


def test_a_limit_gives_no_template(signed_in: Desk) -> None:
    signed_in.claude.set_weather(too_many())
    ran = signed_in.machine.run("claude", "code", "generate", "sort")
    assert (ran.out, ran.code) == ("", 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("-o", "no/such/x.py"), "there is no folder no/such"), (("-o", "."), ". is a folder"), (("-t", "b"), "once")],
)
def test_what_cannot_be_written_is_said_before_anything_is_paid_for(
    signed_in: Desk, words: tuple[str, ...], sentence: str
) -> None:
    ran = signed_in.machine.run("claude", "code", "generate", "a", *words)
    assert ran.code in (1, 64)
    assert sentence in ran.err
    assert not signed_in.claude.requests
