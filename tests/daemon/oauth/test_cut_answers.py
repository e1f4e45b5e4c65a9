"""Of an answer that ends early, or comes while nobody runs, whatever arrived is kept: it may be the only good token."""

import asyncio
import json

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.secret import Secret
from aixtivd.oauth.answers import sort, sort_failure
from aixtivd.oauth.client import Quirks
from aixtivd.oauth.document import beginning
from aixtivd.oauth.outcomes import TryAgain
from aixtivd.oauth.web import BODY_CAP, Answer, Web, WebFailure
from peers.canned import raw

TOKEN = "rt-of the\ttest ü 0123"  # with what JSON writes by an escape
JSON = "application/json"
WHOLE = {"access_token": "at-1", "expires_in": 3600, "refresh_token": TOKEN, "scope": "a b", "more": [1, {"x": None}]}


@pytest.mark.parametrize("text", [json.dumps(WHOLE), json.dumps(WHOLE, indent=2, ensure_ascii=False)])
def test_cut_anywhere_a_text_is_there_as_soon_as_its_closing_quote_is_and_never_in_part(text: str) -> None:
    body = text.encode()
    written = json.dumps(TOKEN, ensure_ascii="\\u" in text).encode()
    end = body.index(written) + len(written)
    for length in range(len(body) + 1):
        found = beginning(body[:length])
        assert found.get("refresh_token") == (TOKEN if length >= end else None), body[:length]
        assert found.get("expires_in") in (3600, None), "a number is whole when something follows it"
    assert beginning(body) == WHOLE


@given(st.binary(max_size=60) | st.text('{}[]:,"\\ \t\n0123456789eEx.-truefalsn', max_size=60).map(str.encode))
def test_whatever_begins_is_read_or_is_nothing(body: bytes) -> None:
    assert isinstance(beginning(body), dict)


@pytest.mark.parametrize(
    ("status", "content_type", "kept"),
    [(200, JSON, True), (200, "", True), (201, JSON, True), (200, "text/html", False), (400, JSON, False)],
)
def test_of_an_answer_that_was_cut_the_new_refresh_token_is_kept(status: int, content_type: str, kept: bool) -> None:
    body = b'{"refresh_token": "rt-2", "access_token": "at-'
    failure = WebFailure("cut", maybe_sent=True, status=status, headers={"content-type": content_type}, body=body)
    outcome = sort_failure(failure, 1e9)
    assert outcome.refresh_token == (Secret("rt-2") if kept else None)
    assert "rt-2" not in repr(failure)


def test_a_body_that_says_no_length_and_was_cut_looks_whole_and_is_kept_as_far_as_it_came() -> None:
    answer = Answer(200, {"content-type": JSON}, b'{"refresh_token": "rt-2", "access_token": "at-')
    outcome = sort(answer, Quirks(), 1e9, host="peer")
    assert outcome == TryAgain(
        reason="peer answered 200 without a token", maybe_spent=True, refresh_token=Secret("rt-2")
    )


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n"


@pytest.mark.parametrize("rest", [b"", b" " * BODY_CAP], ids=["cut", "too long"])
async def test_what_came_of_a_body_goes_along_with_the_failure(web: Web, rest: bytes) -> None:
    begun = b'{"refresh_token": "rt-2", "a'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"grant")
        writer.write(HEAD + begun + rest)
        await writer.drain()

    async with raw(talk) as port:
        with pytest.raises(WebFailure) as caught:
            await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"grant")
    assert caught.value.body.startswith(begun)


def standing_still(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The loop's clock is suddenly so much later, as after SIGSTOP and SIGCONT."""
    loop = asyncio.get_running_loop()
    before = loop.time
    monkeypatch.setattr(loop, "time", lambda: before() + seconds)


async def test_an_answer_that_came_while_the_process_stood_still_is_read(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"grant")
        standing_still(monkeypatch, 600)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()  # the deadline is looked at before the socket, as uvloop does
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
        await writer.drain()

    async with raw(talk) as port:
        answer = await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"grant", timeout=30)
    assert answer.body == b"there"


async def test_a_server_that_stays_silent_after_that_is_given_up_a_little_later(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"grant")
        standing_still(monkeypatch, 600)
        await reader.read()

    monkeypatch.setattr("aixtivd.oauth.web._MORE", 0.01)
    async with raw(talk) as port:
        with pytest.raises(WebFailure, match="did not answer within 30 seconds"):
            await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"grant", timeout=30)
