"""Server-sent events: the same events come however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.events import CAP, Event, Events, TooLong

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n"
    b'event: message_start\r\ndata: {"a": 1}\r\n\r\n'
    b"event: ping\rdata: {}\r\r"
    b"data: one\ndata:two\ndata\nid: 7\nretry: 10\nunknown: x\n\n"
    b"event: nothing follows\n\n"
    b"data: \xc3\xa4 \xff\n\n"
    b"data: never ended\n"
)
EVENTS = [
    Event("message_start", '{"a": 1}'),
    Event("ping", "{}"),
    Event("message", "one\ntwo\n"),
    Event("message", "ä \ufffd"),
]


def read(*pieces: bytes) -> list[Event]:
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)]


def test_a_whole_stream_with_all_three_ends_of_lines() -> None:
    assert read(STREAM) == EVENTS


def test_byte_by_byte_it_is_the_same() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_wherever_it_is_cut_it_is_the_same(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[start:end] for start, end in pairwise(at))) == EVENTS


@given(st.lists(st.binary(max_size=40)))
def test_junk_never_raises_and_its_cutting_never_matters(pieces: list[bytes]) -> None:
    assert read(*pieces) == read(b"".join(pieces))


def test_a_return_at_the_end_of_a_piece_and_a_newline_at_the_next_ones_are_one_end_of_line() -> None:
    assert read(b"data: a\r", b"\n", b"\r", b"\ndata: b\n\n") == [Event("message", "a"), Event("message", "b")]


@pytest.mark.parametrize("piece", [b"x" * 4096, b"data: " + b"x" * 4096 + b"\n"])
def test_what_never_ends_is_given_up(piece: bytes) -> None:
    with pytest.raises(TooLong):
        read(*[piece] * (CAP // 4096 + 1))
