"""`aixtiv claude api` against the real daemon and a strict Claude: bytes in, bytes out."""

import json

import pytest

from peers.claude_api.process import sent
from peers.claude_api.weather import Weather
from peers.desk import Desk


def test_api_gives_the_very_bytes(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "api", "get", "/v1/models?limit=2")
    assert ran.err == ""
    assert len(ran.json()["data"]) == 2
    assert signed_in.claude.requests[-1]["method"] == "GET"


def test_api_takes_the_body_from_stdin_or_a_file_and_headers_from_the_caller(signed_in: Desk) -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hé"}]})
    ran = signed_in.machine.run("claude", "api", "POST", "/v1/messages", "-i", stdin=body)
    head, _, answer = ran.out.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert "request-id: " in head
    assert json.loads(answer)["content"][0]["text"] == "You said: hé"
    (signed_in.machine.home / "body.json").write_text(body)
    words = ("--input", "body.json", "-H", "anthropic-version: 2026-10-21", "-H", "X-Mine:1")
    assert signed_in.machine.run("claude", "api", "POST", "/v1/messages", *words).code == 0
    heard = signed_in.claude.requests[-1]
    assert json.loads(heard["body"]) == json.loads(body)
    assert (sent(heard, "anthropic-version"), sent(heard, "x-mine")) == ("2026-10-21", "1")


def test_api_prints_the_body_of_a_refusal_and_exits_with_1(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "api", "GET", "/v1/nothing")
    assert ran.code == 1
    assert json.loads(ran.out)["error"]["type"] == "not_found_error"
    assert ran.err.startswith("aixtiv: error: Claude has nothing at that address")


def test_api_refuses_the_token_endpoint(signed_in: Desk) -> None:
    ran = signed_in.machine.run("claude", "api", "POST", "/v1/oauth/token", stdin="{}")
    assert ran.code == 1
    assert not signed_in.claude.requests


@pytest.mark.parametrize(
    "words", [("GET", "v1/models"), ("GET", "/v1/models", "-H", "x"), ("POST", "/v1/messages", "--input", "none.json")]
)
def test_api_says_what_is_wrong_with_the_words(at: Desk, words: tuple[str, ...]) -> None:
    ran = at.machine.run("claude", "api", *words)
    assert ran.code in (1, 64)
    assert ran.err.startswith("aixtiv: error: ")


def test_api_streams_as_it_comes(signed_in: Desk) -> None:
    signed_in.claude.set_weather(Weather(silence=4))
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "stream": True})
    (signed_in.machine.home / "body.json").write_text(body)
    with signed_in.machine.running("claude", "api", "POST", "/v1/messages", "--input", "body.json") as process:
        assert process.stdout
        assert process.stdout.readline() == "event: message_start\n"  # while the rest is still to come
        signed_in.claude.release()
        assert "message_stop" in process.stdout.read()
        assert process.wait(30) == 0


def test_ctrl_c_cancels_the_call(signed_in: Desk) -> None:
    with signed_in.machine.running("claude", "ask", "--model", "fail-silence", "one two three four five") as process:
        assert process.stdin
        process.stdin.close()  # what a pipe may still bring would belong to the prompt
        signed_in.claude.until(silent=1)
        process.send_signal(2)
        assert process.wait(30) == 130
    signed_in.claude.until(gone=1)


def test_api_says_that_a_credential_of_the_callers_goes_nowhere(signed_in: Desk) -> None:
    typed = ("-H", "Authorization: Bearer made-up-token", "-H", "X-Api-Key: made-up-key")
    ran = signed_in.machine.run("claude", "api", "GET", "/v1/models", *typed)
    assert ran.code == 0
    sentence = "what -H says as Authorization and X-Api-Key goes nowhere: the daemon attaches the credential"
    assert ran.err == f"aixtiv: {sentence}\n"
    assert "made-up" not in str(signed_in.claude.requests[-1])
