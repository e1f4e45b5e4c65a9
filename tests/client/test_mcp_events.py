"""Server-sent events as the bridge reads them: cut anywhere, ended in any way, and never larger than a message."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.mcp.events import LONGEST_RETRY, Event, TooLarge, events, whole
from aixtiv.mcp.messages import LIMIT

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n"
    b"id: 1\r\ndata: {\r\ndata:  }\r\n\r\n"
    b"retry: 500\rid\rdata:\r\r"
    b"event: endpoint\ndata: /messages\n\n"
    b"data: never ended\n"
)
FOUND = [
    Event(b"{\n }", "message", "1"),
    Event(b"", "message", "", 0.5),
    Event(b"/messages", "endpoint"),
]


def test_every_way_to_end_a_line_is_read_and_an_event_that_breaks_off_is_not_given() -> None:
    assert list(events([STREAM])) == FOUND


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_it_does_not_matter_how_a_stream_is_cut(cuts: list[int]) -> None:
    pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert list(events(pieces)) == FOUND


def test_an_end_of_a_line_that_is_cut_is_one_whatever_the_next_one_is_written_as() -> None:
    stream = b"data: x\r\n\ndata: y\n\r\ndata: z\r\n\n"
    found = [Event(b"x"), Event(b"y"), Event(b"z")]
    assert list(events([stream])) == found
    assert list(events([bytes([byte]) for byte in stream])) == found


def test_what_stands_beside_no_data_counts_all_the_same() -> None:
    assert list(events([b"id: 7\n\n", b"\n\n", b": ping\n\n", b"retry: 9999999\n\n"])) == [
        Event(id="7"),
        Event(retry=LONGEST_RETRY),
    ]


@pytest.mark.parametrize("odd", [b"retry: soon\n\n", b"retry: -5\n\n", b"id: a\0b\n\n", b"what: ever\n\n"])
def test_a_field_that_makes_no_sense_is_as_if_it_were_not_there(odd: bytes) -> None:
    assert list(events([odd])) == []


def endless(piece: bytes) -> Iterator[bytes]:
    for _ in range(LIMIT // len(piece) * 4 + 4):
        yield piece


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65000 + b"\n", b"x" * 65536], ids=["lines", "one line"])
def test_an_event_without_end_is_given_up(piece: bytes) -> None:
    pieces = endless(piece)
    with pytest.raises(TooLarge, match="larger than 32 MiB"):
        list(events(pieces))
    assert next(pieces), "the rest was never read"


def test_a_body_without_end_is_given_up() -> None:
    with pytest.raises(TooLarge):
        whole(endless(b" " * 65536))
    assert whole([b"{", b"}"]) == b"{}"
