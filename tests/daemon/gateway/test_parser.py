"""A caller's bytes, however they are cut, are the same requests; and what is none breaks, and stays broken."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from httptools import HttpParserCallbackError
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.gateway.incoming import LINES, LONGEST
from aixtivd.gateway.parser import Parser, Request
from peers.porch import get, post

SEVERAL = (
    post(b"hello", "X-Odd: a b")
    + get("/v1/models?x=1")
    + get("/v1/messages", "Transfer-Encoding: chunked", method="POST")
    + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    + get("/v1/models", "Connection: close")
)
READ = [
    ("POST", "/v1/messages", b"hello", True),
    ("GET", "/v1/models?x=1", b"", True),
    ("POST", "/v1/messages", b"abcde", True),
    ("GET", "/v1/models", b"", False),
]


class Reader:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.parser = Parser(self.requests.append)

    def feed(self, pieces: Iterable[bytes]) -> "Reader":
        for piece in pieces:
            self.parser.feed(piece)
        return self

    def read(self) -> list[tuple[str, str, bytes, bool]]:
        assert all(request.upload.whole for request in self.requests)
        return [(one.method, one.target, b"".join(one.upload._pieces), one.keep) for one in self.requests]


@given(st.sets(st.integers(1, len(SEVERAL) - 1)))
def test_wherever_the_bytes_are_cut_they_are_the_same_requests(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(SEVERAL)]
    reader = Reader().feed(SEVERAL[at:to] for at, to in pairwise(places))
    assert reader.read() == READ
    assert [request.raw for request in reader.requests] == [
        request.raw for request in Reader().feed([SEVERAL]).requests
    ]
    assert not reader.parser.broken


def test_byte_by_byte_it_is_the_same_and_junk_behind_it_breaks() -> None:
    reader = Reader().feed(bytes([byte]) for byte in SEVERAL)
    assert reader.read() == READ
    reader.feed([b"junk"])
    assert (reader.read(), reader.parser.broken) == (READ, True)


def test_behind_what_is_broken_nothing_is_read() -> None:
    reader = Reader().feed([get(), b"GET / HTTP/1.1\nHost: x\n\n", get(), get()])
    assert ([request.target for request in reader.requests], reader.parser.broken) == (["/v1/models"], True)


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
def test_behind_what_asks_for_another_protocol_nothing_is_read(method: str) -> None:
    target = "x:1" if method == "CONNECT" else "/"
    asks = get(target, "Connection: upgrade", "Upgrade: websocket", method=method)
    reader = Reader().feed([asks + get() + get()])
    assert ([request.target for request in reader.requests], reader.parser.broken) == ([target], True)


def test_a_body_that_breaks_says_so_to_whoever_reads_it() -> None:
    reader = Reader().feed([get("/v1/messages", "Transfer-Encoding: chunked", method="POST"), b"2\r\nok\r\nx"])
    (request,) = reader.requests
    assert request.upload.failure is not None
    assert (request.upload.whole, reader.parser.broken) == (False, True)


def test_too_many_headers_break_before_the_head_is_whole() -> None:
    assert Reader().feed([b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (LINES + 2)]).parser.broken


ENDLESS = {
    "a target": b"GET /",
    "a name": b"GET / HTTP/1.1\r\n",
    "a value": b"GET / HTTP/1.1\r\nX: ",
    "empty lines": b"",
    "an extension": get("/", "Transfer-Encoding: chunked", method="POST") + b"3;",
    "a trailer": get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\nX: ",
    "trailers": get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n",
}
MORE = {"empty lines": b"\r\n" * 500, "trailers": b"X: y\r\n" * 200}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_breaks_before_it_costs_more_than_a_head_may(what: str) -> None:
    reader = Reader().feed([ENDLESS[what]])
    piece, fed = MORE.get(what, b"a" * 1000), 0
    while not reader.parser.broken:
        reader.feed([piece])
        fed += len(piece)
        assert fed <= LONGEST + len(piece)
    assert all(request.upload.failure for request in reader.requests)


def test_a_defect_of_ours_is_not_taken_for_the_callers() -> None:
    def breaks(_: Request) -> None:
        raise ZeroDivisionError

    with pytest.raises(HttpParserCallbackError):
        Parser(breaks).feed(get())
