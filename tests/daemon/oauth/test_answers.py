"""The table of what a token endpoint can answer, and the promise that every answer has an outcome."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.secret import Secret, encode_hook
from aixtivd.oauth import outcomes
from aixtivd.oauth.answers import retry_after, sort, sort_failure
from aixtivd.oauth.client import Quirks
from aixtivd.oauth.outcomes import Granted, Misconfigured, NeedsSignIn, Outcome, Refused, Rotated, TryAgain
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Answer, WebFailure

NOW = 1_800_000_000.0
JSON = "application/json"
PLAIN = Quirks()
GITHUB = READY["github"].quirks


def sorted_out(
    body: object, status: int = 200, content_type: str = JSON, quirks: Quirks = PLAIN, **headers: str
) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type:
        named["content-type"] = content_type
    return sort(Answer(status, named, raw), quirks, NOW, host="provider.example")


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (400, "invalid_grant", NeedsSignIn),
        (401, "invalid_grant", NeedsSignIn),
        (403, "invalid_grant", Refused),
        (404, "invalid_grant", Refused),
        (200, "invalid_grant", Refused),
        (408, "invalid_grant", TryAgain),
        (429, "invalid_grant", TryAgain),
        (500, "invalid_grant", TryAgain),
        (400, "invalid_client", Misconfigured),
        (401, "invalid_client", Misconfigured),
        (400, "unauthorized_client", Misconfigured),
        (400, "invalid_scope", Misconfigured),
        (400, "unsupported_grant_type", Misconfigured),
        (200, "invalid_client", Misconfigured),
        (400, "invalid_request", Refused),
        (403, "access_denied", Refused),
        (400, "consent_required", Refused),
        (400, "temporarily_unavailable", TryAgain),
        (400, "server_error", TryAgain),
        (503, "temporarily_unavailable", TryAgain),
    ],
)
def test_an_oauth_error_is_sorted_by_its_code_and_status(status: int, error: str, outcome: type) -> None:
    result = sorted_out({"error": error}, status)
    assert type(result) is outcome
    assert isinstance(result, TryAgain | NeedsSignIn | Misconfigured | Refused)
    assert result.reason.startswith("provider.example ")


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain", "application/problem", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("status", [400, 401, 200])
def test_an_error_that_does_not_come_as_json_ends_nothing(status: int, content_type: str) -> None:
    assert isinstance(sorted_out({"error": "invalid_grant"}, status, content_type), TryAgain)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json", ""]
)
def test_json_by_another_name_is_json(content_type: str) -> None:
    assert isinstance(sorted_out({"error": "invalid_grant"}, 400, content_type), NeedsSignIn)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"invalid_grant"',
        b"null",
        b"{",
        b'{"error": {"type": "invalid_grant"}}',
        b'{"error": null}',
        b'{"error": ""}',
        b'{"error": "invalid_grant\\n"}',
        b'{"error": "\\u0007"}',
        b'{"error_description": "invalid_grant"}',
        b'{"error": "invalid_grant"} trailing',
        b"\xff\xfe",
        b'{"a":' * 5000,
    ],
)
def test_a_400_that_is_no_oauth_error_is_tried_again_and_spent_nothing(body: bytes) -> None:
    outcome = sorted_out(body, 400)
    assert isinstance(outcome, TryAgain)
    assert not outcome.maybe_spent


@pytest.mark.parametrize(
    ("body", "content_type", "maybe_spent"),
    [
        (b"<!doctype html>", "text/html", False),
        (b"Please sign in", "text/html; charset=utf-8", False),
        (b"  <html>", "", False),
        (b"<html>", JSON, False),
        (b"", JSON, True),
        (b"", "", True),
        (b"{}", JSON, True),
        (b'{"access_token": ""}', JSON, True),
        (b'{"access_token": 7}', JSON, True),
        (b'{"access_token": "two words"}', JSON, True),
        (b'{"access_token": "line\\nbreak"}', JSON, True),
        (b'{"access_token": "a', JSON, True),
    ],
)
def test_a_success_without_a_token_says_whether_one_may_have_been_given(
    body: bytes, content_type: str, maybe_spent: bool
) -> None:
    outcome = sorted_out(body, 200, content_type)
    assert isinstance(outcome, TryAgain)
    assert outcome.maybe_spent is maybe_spent


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 404, 408, 429, 500, 502, 503, 504, 599])
def test_a_web_page_is_passing_trouble_whatever_its_status(status: int) -> None:
    outcome = sorted_out(b"<html>", status, "text/html")
    assert isinstance(outcome, TryAgain)
    assert not outcome.maybe_spent


@pytest.mark.parametrize(("status", "content_type"), [(200, JSON), (201, JSON), (200, "text/html"), (200, "")])
def test_a_token_is_taken_whatever_the_label_on_it(status: int, content_type: str) -> None:
    """The pair was rotated: dropped, it would be lost."""
    outcome = sorted_out({"access_token": "at", "refresh_token": "rt"}, status, content_type)
    assert isinstance(outcome, Granted)
    assert outcome.tokens.refresh_token == Secret("rt")


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", None])
def test_bearer_is_bearer_in_any_case(kind: str | None) -> None:
    assert isinstance(sorted_out({"access_token": "at", "token_type": kind}), Granted)


def test_another_kind_of_token_is_refused_by_name() -> None:
    outcome = sorted_out({"access_token": "at", "token_type": "DPoP"})
    assert isinstance(outcome, Refused)
    assert "DPoP" in outcome.reason


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (" 60 ", 60),
        (59.9, 59),
        ("7200.5", 7200),
        (0, None),
        (-1, None),
        (None, None),
        (True, None),
        ("soon", None),
        ("", None),
        (1_800_003_600, None),
        (1e300, None),
        ("inf", None),
        ("nan", None),
        ([3600], None),
    ],
)
def test_a_lifetime_is_read_with_tolerance_and_not_believed_when_absurd(said: object, seconds: int | None) -> None:
    assert tokens({"expires_in": said}).expires_in == seconds


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ("a b", ("a", "b")),
        ("a,b", ("a,b",)),
        ("", ()),
        (["a", "b"], ("a", "b")),
        (None, None),
        (7, None),
        ([1], None),
    ],
)
def test_scopes_are_read_as_the_rfc_writes_them(said: object, scopes: tuple[str, ...] | None) -> None:
    assert tokens({"scope": said}).scopes == scopes


def test_github_separates_scopes_by_commas() -> None:
    outcome = sorted_out({"access_token": "at", "scope": "repo,gist"}, quirks=GITHUB)
    assert isinstance(outcome, Granted)
    assert outcome.tokens.scopes == ("repo", "gist")


@pytest.mark.parametrize("said", [None, "", 7, [], {}])
def test_a_refresh_token_that_is_none_means_keep_the_old_one(said: object) -> None:
    assert tokens({"refresh_token": said}).refresh_token is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("bad_refresh_token", NeedsSignIn),
        ("bad_verification_code", NeedsSignIn),
        ("incorrect_client_credentials", Misconfigured),
        ("redirect_uri_mismatch", Refused),
        ("unverified_user_email", Refused),
    ],
)
def test_github_says_its_errors_in_a_200_and_by_its_own_names(error: str, outcome: type) -> None:
    assert type(sorted_out({"error": error, "error_description": "…"}, quirks=GITHUB)) is outcome


def test_a_providers_own_words_are_shown_short_and_printable() -> None:
    document = {
        "error": "access_denied",
        "error_description": "no\x1b[31m\r\n" + "x" * 1000,
        "error_uri": "https://e.example",
        "debug": "internal",
    }
    outcome = sorted_out(document, 400)
    assert isinstance(outcome, Refused)
    assert outcome.reason.isprintable()
    assert len(outcome.reason) <= 330
    assert "internal" not in outcome.reason


def test_an_error_shows_description_and_uri() -> None:
    outcome = sorted_out({"error": "e", "error_description": "Not today.", "error_uri": "https://x.example"}, 400)
    assert outcome == Refused(reason="provider.example says e: Not today. (https://x.example)")


def test_the_secrets_of_the_request_are_cut_out_of_the_providers_words() -> None:
    answer = Answer(400, {"content-type": JSON}, b'{"error": "x", "error_description": "rt-1 and s3cret"}')
    secrets = [Secret("rt-1"), Secret("s3cret")]
    outcome = sort(answer, PLAIN, NOW, host="h", secrets=secrets)
    assert outcome == Refused(reason="h says x: … and …")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("-5", 0),
        ("later", 0),
        ("9" * 30, 0),
        ("999999999", 86400),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 99 Jan 2027 07:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


def test_a_date_to_retry_at_counts_from_the_servers_own_clock() -> None:
    headers = {"retry-after": "Fri, 15 Jan 2027 09:00:30 GMT", "date": "Fri, 15 Jan 2027 09:00:00 GMT"}
    assert retry_after(headers, NOW) == 30


@pytest.mark.parametrize("status", [429, 503, 500, 408, 418])
def test_retry_after_is_passed_on(status: int) -> None:
    outcome = sorted_out(b"", status, "text/plain", retry_after="33")
    assert isinstance(outcome, TryAgain)
    assert outcome.retry_after == 33


@pytest.mark.parametrize(
    ("sent", "status", "content_type", "maybe_spent"),
    [
        (False, 0, "", False),
        (True, 0, "", True),
        (True, 200, JSON, True),
        (True, 200, "", True),
        (True, 200, "text/html", False),
        (True, 302, "", False),
        (True, 400, JSON, False),
        (True, 503, "", False),
    ],
)
def test_a_request_without_a_whole_answer(sent: bool, status: int, content_type: str, maybe_spent: bool) -> None:
    headers = {"content-type": content_type, "retry-after": "5"}
    outcome = sort_failure(WebFailure("cut", maybe_sent=sent, status=status, headers=headers), NOW)
    assert outcome == TryAgain(reason="cut", retry_after=5, maybe_spent=maybe_spent)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),  # surrogates, too
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
fields = [
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "scope",
    "id_token",
    "error",
    "error_description",
    "error_uri",
]
documents = st.dictionaries(st.sampled_from(fields) | st.text(max_size=8), json_values, max_size=8)
bodies = st.binary(max_size=200) | documents.map(lambda value: json.dumps(value).encode())
headers = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "date"]),
    st.sampled_from(
        [JSON, "text/html", "a;b", "Fri, 15 Jan 2027 09:00:30 GMT", "-1", "1e9", "Fri, 15 Jan 99999 09:00:30 GMT"]
    )
    | st.text(max_size=30),
)


@given(st.integers(0, 999) | st.just(200), headers, bodies, st.sampled_from([PLAIN, GITHUB]), st.booleans())
def test_whatever_the_answer_there_is_an_outcome_and_never_an_exception(
    status: int, said: dict[str, str], body: bytes, quirks: Quirks, refreshes: bool
) -> None:
    answer = Answer(status, said, body)
    outcome = sort(answer, quirks, NOW, host="h", secrets=[Secret("rt")], refreshes=refreshes)
    assert isinstance(outcome, outcomes.Outcome)
    if isinstance(outcome, NeedsSignIn):
        assert status in {400, 401} or quirks.errors_in_200
    if isinstance(outcome, Granted):
        assert outcome.tokens.access_token.reveal().isascii()
        assert outcome.tokens.expires_in is None or outcome.tokens.expires_in > 0
        msgspec.json.encode(outcome, enc_hook=encode_hook)  # it can be sealed and sent
    else:
        assert not isinstance(outcome, Rotated) or 200 <= status < 300
        assert outcome.reason.isprintable()
        assert len(outcome.reason) < 400


def tokens(more: dict[str, Any]) -> outcomes.Tokens:
    outcome = sorted_out({"access_token": "at"} | more)
    assert isinstance(outcome, Granted)
    return outcome.tokens
