"""What our commands ask of Claude, and what they make of each kind of answer."""

import json

import pytest

from aixtiv import claude
from aixtiv.claude import Answer, Broken, NotClaude, check_kind, headers, model, not_found, question, refusal
from aixtiv.failures import AixtivError, SignInNeeded, Unreachable, Usage

SSE = "text/event-stream; charset=utf-8"


def event(name: str, **fields: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | fields)}\n\n".encode()


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


START = event("message_start", message={"model": "claude-x", "content": [], "stop_reason": None})
STOP = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")


def heard(answer: Answer, *pieces: bytes) -> str:
    return "".join([text for piece in pieces for text in answer.take(piece)] + list(answer.end()))


def test_a_stream_gives_its_text_and_nothing_else() -> None:
    answer = Answer(SSE)
    thinking = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
    begun = event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    unknown = event("something_new", text="no")
    pieces = (START, event("ping"), thinking, begun, delta("Hel"), unknown, delta("lo"), STOP)
    assert heard(answer, *pieces) == "Hello"
    assert (answer.model, answer.stop_reason, answer.note()) == ("claude-x", "end_turn", "")


def test_text_comes_with_the_piece_that_brings_it() -> None:
    answer = Answer(SSE)
    assert list(answer.take(START + delta("now"))) == ["now"]


def test_an_error_after_a_200_is_a_sentence() -> None:
    answer = Answer(SSE)
    broke = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    with pytest.raises(Unreachable, match=r"^Claude broke off its answer \(overloaded_error: Overloaded\)$"):
        heard(answer, START, delta("Hel"), broke)


DEEP = b'{"error": {"type": {"x": ' + b"[" * 50_000  # deeper than the stack


@pytest.mark.parametrize("data", [b"nonsense", b"{}", b"[]", b'{"error": "x"}', DEEP])
def test_an_error_that_says_nothing_is_one_all_the_same(data: bytes) -> None:
    with pytest.raises(Unreachable, match="no reason given"):
        heard(Answer(SSE), b"event: error\ndata: " + data + b"\n\n")


def test_a_stream_that_ends_early_is_broken() -> None:
    with pytest.raises(Broken, match="broke off"):
        heard(Answer(SSE), START, delta("Hel"))


@pytest.mark.parametrize(
    ("reason", "word"), [("max_tokens", "--max-tokens"), ("refusal", "declined"), ("end_turn", ""), ("unknown", "")]
)
def test_why_it_stopped_is_noted_where_that_was_not_its_own_end(reason: str, word: str) -> None:
    answer = Answer(SSE)
    heard(answer, START, event("message_delta", delta={"stop_reason": reason}), event("message_stop"))
    assert (word in answer.note()) if word else answer.note() == ""


def test_a_proxy_that_does_not_stream_is_understood() -> None:
    whole = json.dumps({"content": [{"type": "text", "text": "Hi"}], "stop_reason": "max_tokens"}).encode()
    answer = Answer("application/json")
    assert heard(answer, whole[:7], whole[7:]) == "Hi"
    assert answer.stop_reason == "max_tokens"


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b'{"content": 3}', b"\xff"])
def test_a_captive_portal_is_not_claude(body: bytes) -> None:
    with pytest.raises(Broken):
        heard(Answer("text/html"), body)


@pytest.mark.parametrize("data", [b"<html>", b"\xff", b"{", DEEP])
def test_an_event_that_is_not_json_breaks_the_answer(data: bytes) -> None:
    with pytest.raises(Broken):
        heard(Answer(SSE), b"event: content_block_delta\ndata: " + data + b"\n\n")


@pytest.mark.parametrize(
    ("kind", "variable", "paid", "hint"),
    [
        ("oauth", "", "the credential of work", "aixtiv login work"),
        ("federation", "", "the credential of work", "aixtiv login work"),
        ("api-key", "", "the API key of work", "aixtiv api-key set work"),
        ("api-key", "DR_CLAUDE_API", "the key in DR_CLAUDE_API", "export DR_CLAUDE_API=…"),
    ],
)
def test_what_claude_does_not_take_is_named_with_what_replaces_it(
    kind: str, variable: str, paid: str, hint: str
) -> None:
    failure = refusal(401, b"", "work", kind=kind, variable=variable)
    assert failure.sentence == f"Claude does not take {paid} (HTTP 401)"
    assert (failure.hint, failure.exit_status) == (hint, 3)


def error(kind: str, message: str = "no") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "exit_status", "hint"),
    [
        (400, error("invalid_request_error"), AixtivError, 1, ""),
        (401, error("authentication_error"), SignInNeeded, 3, "aixtiv login anthropic/work"),
        (403, error("permission_error"), AixtivError, 1, ""),
        (404, error("not_found_error", "model: claude-9"), AixtivError, 1, "aixtiv claude api GET /v1/models"),
        (404, error("not_found_error", "Not Found"), AixtivError, 1, "aixtiv doctor"),
        (404, b"<html>", AixtivError, 1, "aixtiv doctor"),
        (307, b"<html>", NotClaude, 4, "aixtiv doctor"),
        (429, error("rate_limit_error"), AixtivError, 1, "aixtiv usage"),
        (500, error("api_error"), Unreachable, 4, ""),
        (529, error("overloaded_error"), Unreachable, 4, ""),
    ],
)
def test_an_answer_of_400_or_above_is_one_sentence(
    status: int, body: bytes, kind: type[AixtivError], exit_status: int, hint: str
) -> None:
    failure = refusal(status, body, "anthropic/work")
    assert type(failure) is kind
    assert (failure.exit_status, failure.hint) == (exit_status, hint)
    assert "\n" not in failure.sentence
    assert not failure.sentence.endswith(".")
    assert (
        f"HTTP {status}" in failure.sentence
        if body.startswith(b"<")
        else json.loads(body)["error"]["type"] in str(failure)
    )


@pytest.mark.parametrize(
    ("kind", "encoding", "sentence"),
    [
        ("text/html; charset=utf-8", "", "it sent text/html"),
        ("", "", "nothing that has a type"),
        ("application/json", "gzip", "it sent gzip"),
    ],
)
def test_a_success_of_another_kind_is_not_claudes(kind: str, encoding: str, sentence: str) -> None:
    with pytest.raises(NotClaude, match=sentence):
        check_kind(kind, encoding)


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "application/json", "Application/JSON"])
def test_claudes_own_kinds_pass(kind: str) -> None:
    check_kind(kind, "")
    check_kind(kind, "identity")


def test_how_long_to_wait_is_said_where_claude_said_it() -> None:
    assert refusal(429, b"", retry_after="30").sentence.endswith("; again in 30 seconds")
    assert "seconds" not in refusal(429, b"", retry_after="Wed, 21 Oct").sentence


def test_a_404_for_a_model_is_not_one_for_the_endpoint() -> None:
    assert not not_found(error("not_found_error", "model: claude-9"))
    assert not_found(error("not_found_error", "Not Found"))
    assert not_found(b"404 page not found")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, claude.MODEL),
        ({"ANTHROPIC_MODEL": "claude-a-1"}, "claude-a-1"),
        ({"ANTHROPIC_MODEL": "claude-a-1[1m]"}, "claude-a-1"),
        ({"ANTHROPIC_MODEL": "opus"}, claude.MODEL),
        ({"ANTHROPIC_MODEL": "claude-a-1", "AIXTIV_CLAUDE_MODEL": "local"}, "local"),
    ],
)
def test_the_model_has_an_order_of_names(environ: dict[str, str], expected: str) -> None:
    assert model(environ) == expected


def test_what_is_asked_holds_what_was_given_and_no_more() -> None:
    assert json.loads(question("hi", model="m", max_tokens=5, stream=False)) == {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert json.loads(question("hi", model="m", system="be brief"))["system"] == "be brief"
    assert json.loads(question("hi", model="m"))["stream"] is True


def test_what_is_no_text_cannot_be_asked() -> None:
    """Python gives bytes of a command line that are not UTF-8 as surrogates."""
    with pytest.raises(Usage, match="not text"):
        question("\udcff", model="m")


def test_our_own_headers_stand_below_the_callers() -> None:
    named = dict(headers((("Anthropic-Version", "2026-10-21"), ("x", "y"))))
    assert named == {
        "Anthropic-Version": "2026-10-21",
        "x": "y",
        "content-type": "application/json",
        "accept-encoding": "identity",
    }
    assert dict(headers())["anthropic-version"] == "2023-06-01"
    assert dict(headers(version="2026-10-21"))["anthropic-version"] == "2026-10-21"
