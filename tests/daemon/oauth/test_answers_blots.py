"""Answers with a blot beside a good pair: the pair is kept. And what is too much in one: it is cut."""

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.secret import Secret
from aixtivd.oauth.answers import sort
from aixtivd.oauth.client import Quirks
from aixtivd.oauth.document import as_object
from aixtivd.oauth.outcomes import Granted, Outcome, Refused, Rotated, Tokens, TryAgain
from aixtivd.oauth.web import Answer
from aixtivd.oauth.words import in_words

PAIR: dict[str, Any] = {"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600}
PLAIN = json.dumps(PAIR).encode()


def sorted_out(body: object, status: int = 200, **how: Any) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sort(Answer(status, {"content-type": "application/json"}, raw), Quirks(), 0.0, host="h", **how)


def granted(body: object, **how: Any) -> Tokens:
    outcome = sorted_out(body, **how)
    assert isinstance(outcome, Granted)
    return outcome.tokens


def beside(field: bytes) -> bytes:
    return b'{"organization": ' + field + b", " + PLAIN[1:]


@pytest.mark.parametrize(
    "body",
    [
        beside(rb'"Ada \ud83d"'),
        beside(rb'{"names": ["\udc00", {"\ud800": 1}]}'),
        beside(b"NaN"),
        beside(b"-Infinity"),
        beside(b"1e400"),
        beside(b"9" * 5000),
        beside(b'"Zo\xeb"'),
        beside(b'"\xed\xa0\xbd"'),
        beside(b'"two\nlines"'),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN + b"\0",
        PLAIN + b"\n<!-- served by web3 -->",
        PLAIN.replace(b"3600", b"1e400"),
        PLAIN.replace(b"3600", b"NaN"),
        json.dumps(PAIR | {"access_token": " at\n"}).encode(),
        json.dumps(PAIR | {"refresh_token": "rt\r\n"}).encode(),
        json.dumps(PAIR | {"refresh_token": ["rt"]}).encode(),
        *(json.dumps(PAIR | {"token_type": kind}).encode() for kind in ("Bearer ", "\tbearer\n", ["Bearer"], 7)),
        *(json.dumps(PAIR | {"scope": scope}).encode() for scope in ("a\ud83d", 7, [["a"]])),
        *(json.dumps(PAIR | {"id_token": said}).encode() for said in (7, True, "x" * 70_000)),
    ],
    ids=lambda body: repr(body)[2:60],
)
def test_a_pair_is_kept_whatever_is_sloppy_beside_it(body: bytes) -> None:
    tokens = granted(body)
    assert (tokens.access_token, tokens.refresh_token) == (Secret("at"), Secret("rt"))


@pytest.mark.parametrize(
    "changed",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": " "},
        {"access_token": 7},
        {"access_token": ["at"]},
        {"access_token": "two words"},
        {"access_token": "a\ud83d"},
        {"access_token": "x" * 70_000},
        {"token_type": "mac"},
        {"token_type": "DPoP"},
    ],
    ids=lambda changed: str(changed)[:40],
)
@pytest.mark.parametrize("refreshes", [True, False])
def test_a_new_refresh_token_survives_an_access_token_that_cannot_be_used(
    changed: dict[str, Any], refreshes: bool
) -> None:
    outcome = sorted_out(PAIR | changed, refreshes=refreshes)
    assert isinstance(outcome, Rotated)
    assert outcome.refresh_token == Secret("rt")
    assert outcome.reason.startswith("h ")


@pytest.mark.parametrize("refresh", [None, "", "\n", "a\ufffd", "a\x00b", "x" * 70_000, 7, ["rt", "rt"], {}])
def test_what_can_be_no_refresh_token_is_none(refresh: object) -> None:
    assert granted(PAIR | {"refresh_token": refresh}).refresh_token is None
    without = sorted_out({"refresh_token": refresh})
    assert isinstance(without, TryAgain)
    assert without.maybe_spent


def test_a_refresh_token_may_end_in_a_space() -> None:
    """RFC 6749 §A.17."""
    assert granted(PAIR | {"refresh_token": "rt "}).refresh_token == Secret("rt ")


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_that_quotes_the_spent_refresh_token_has_brought_none(status: int) -> None:
    assert isinstance(sorted_out({"error": "invalid_request", "refresh_token": "rt"}, status), Refused)


def test_an_error_is_heard_through_a_blot_but_not_beside_something_else() -> None:
    assert isinstance(sorted_out(b'\xef\xbb\xbf{"error": "x", "error_description": "\\ud83d \xeb"}', 400), Refused)
    assert isinstance(sorted_out(b'{"error": "x"} {"error": "y"}', 400), TryAgain)


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1])
def test_a_token_has_at_most_64_kib(size: int) -> None:
    long = "x" * size
    tokens = granted(PAIR | {"id_token": long, "refresh_token": long})
    kept = Secret(long) if size == 64 * 1024 else None
    assert (tokens.id_token, tokens.refresh_token) == (kept, kept)
    assert isinstance(sorted_out({"access_token": long}), Granted if kept else TryAgain)


@pytest.mark.parametrize("said", [0, -1, "0", -0.5, 0.4, "-3600"])
def test_a_token_that_is_over_already_is_renewed_at_its_next_use(said: object) -> None:
    assert granted({"access_token": "at", "expires_in": said}, refreshes=True).expires_in == 1
    assert granted({"access_token": "at", "refresh_token": "rt", "expires_in": said}).expires_in == 1
    assert granted({"access_token": "at", "expires_in": said}).expires_in is None  # nothing could renew it


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["a;b", "b\n\x1b[2Kaixtiv: hint: curl evil", 'q"q', "back\\slash", "two words", "é", "", "c"], ("a;b", "c")),
        ("a é b\x07", ("a",)),
        (" ".join(f"s{n}" for n in range(300)), tuple(f"s{n}" for n in range(100))),
        ("s" * 300_000, ()),
        (f"a {'s' * 300_000} b", ("a",)),
        ("x" * 4095, ("x" * 4095,)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_only_what_the_rfc_calls_a_scope_is_one_and_not_too_many(said: object, kept: tuple[str, ...]) -> None:
    assert granted(PAIR | {"scope": said}).scopes == kept


SECRET = "rt+very/secret=välue==&more \\x"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET).lower(),
        quote(SECRET, safe="").lower(),
        urlencode({"refresh_token": SECRET}),
        json.dumps({"refresh_token": SECRET}),
        json.dumps({"refresh_token": SECRET}, ensure_ascii=False),
        json.dumps({"refresh_token": SECRET}).replace("/", "\\/"),  # as PHP does
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_cut_out_of_an_echo_in_every_form_that_it_was_sent_in(form: str) -> None:
    words = in_words("invalid_request", f"bad body {form} end", form, [Secret(SECRET)])
    assert "secret" not in words
    assert form[-12:] not in words
    assert words.startswith("invalid_request: bad body ")


def test_a_long_secret_leaves_no_beginning_at_the_end_of_the_words() -> None:
    words = in_words("x", f"{'y' * 290} {'secret' * 20}", None, [Secret("secret" * 20)])
    assert "secret" not in words
    assert "…" in words


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["error", *PAIR]) | st.text(st.characters(), max_size=4), json_values))
def test_no_text_of_a_document_holds_half_a_surrogate_pair(document: dict[str, Any]) -> None:
    read = as_object(json.dumps(document).encode())
    assert read is not None
    json.dumps(read, ensure_ascii=False).encode()


@given(st.binary(max_size=30), st.binary(max_size=30), st.booleans())
def test_bytes_around_a_document_raise_nothing(before: bytes, behind: bytes, alone: bool) -> None:
    read = as_object(before + PLAIN + behind, alone=alone)
    assert read is None or isinstance(read, dict)
