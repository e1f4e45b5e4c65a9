"""Bytes into message bodies: each case whole, byte by byte, and with junk behind it."""

from collections.abc import Iterator

import pytest

from aixtiv_protocol.codec import FRAME_CAP, Inbox, ProtocolError

FRAMES = {
    "one": (b"\0\0\0\x03abc", [b"abc"]),
    "two": (b"\0\0\0\x01a\0\0\0\x02bc", [b"a", b"bc"]),
    "empty": (b"\0\0\0\0", [b""]),
    "empty between two": (b"\0\0\0\x01a\0\0\0\0\0\0\0\x01b", [b"a", b"", b"b"]),
    "a newline inside": (b"\0\0\0\x03a\nb", [b"a\nb"]),
    "a brace first in the body": (b"\0\0\0\x02{}", [b"{}"]),
    "exactly the cap": (FRAME_CAP.to_bytes(4, "big") + b"x" * FRAME_CAP, [b"x" * FRAME_CAP]),
}
LINES = {
    "one": (b'{"op":"status"}\n', [b'{"op":"status"}']),
    "two": (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    "carriage return": (b"{}\r\n", [b"{}\r"]),
    "an empty line later": (b"{}\n\n{}\n", [b"{}", b"", b"{}"]),
    "no object later": (b"{}\nrubbish\n", [b"{}", b"rubbish"]),
    "a zero byte later": (b"{}\n\0\0\n", [b"{}", b"\0\0"]),
    "exactly the cap": (b"{" + b" " * (FRAME_CAP - 1) + b"\n", [b"{" + b" " * (FRAME_CAP - 1)]),
}
CASES = [
    *(pytest.param("frames", *case, id=f"frames: {name}") for name, case in FRAMES.items()),
    *(pytest.param("lines", *case, id=f"lines: {name}") for name, case in LINES.items()),
]


def fed(inbox: Inbox, pieces: Iterator[bytes] | list[bytes]) -> list[bytes]:
    bodies: list[bytes] = []
    for piece in pieces:
        inbox.feed(piece)
        bodies += inbox.bodies()
    return bodies


@pytest.mark.parametrize(("mode", "stream", "bodies"), CASES)
def test_a_stream_fed_whole_gives_its_bodies(mode: str, stream: bytes, bodies: list[bytes]) -> None:
    inbox = Inbox()
    assert fed(inbox, [stream]) == bodies
    assert inbox.mode == mode
    assert not inbox.partial


@pytest.mark.parametrize(("mode", "stream", "bodies"), CASES)
def test_a_stream_fed_byte_by_byte_gives_the_same_bodies(mode: str, stream: bytes, bodies: list[bytes]) -> None:
    inbox = Inbox()
    assert fed(inbox, (stream[at : at + 1] for at in range(len(stream)))) == bodies
    assert inbox.mode == mode
    assert not inbox.partial


@pytest.mark.parametrize(("mode", "stream", "bodies"), CASES)
def test_the_beginning_of_a_next_message_waits_and_disturbs_nothing(
    mode: str, stream: bytes, bodies: list[bytes]
) -> None:
    inbox = Inbox()
    junk = b"\0\0\0\x09half" if mode == "frames" else b'{"half":'
    assert fed(inbox, [stream + junk]) == bodies
    assert inbox.partial


@pytest.mark.parametrize(("mode", "stream", "bodies"), CASES)
def test_what_stands_whole_before_an_impossible_message_is_still_given_out(
    mode: str, stream: bytes, bodies: list[bytes]
) -> None:
    inbox = Inbox()
    inbox.feed(stream + (b"\xff\xff\xff\xff" if mode == "frames" else b"x" * (FRAME_CAP + 1)))
    coming = inbox.bodies()
    assert [next(coming) for _ in bodies] == bodies
    with pytest.raises(ProtocolError) as caught:
        next(coming)
    assert caught.value.code == "too_large"
    assert caught.value.fatal


@pytest.mark.parametrize("size", [FRAME_CAP + 1, 2**24 - 1])
def test_a_frame_above_the_cap_is_refused_before_its_body_is_read(size: int) -> None:
    inbox = Inbox()
    inbox.feed(size.to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="above the cap of 262144") as caught:
        list(inbox.bodies())
    assert (caught.value.code, caught.value.fatal) == ("too_large", True)


@pytest.mark.parametrize("size", [2**24, 2**31, 2**32 - 1])
def test_a_later_frame_with_a_length_of_up_to_four_gigabytes_is_refused_unread(size: int) -> None:
    inbox = Inbox()
    inbox.feed(b"\0\0\0\x01a" + size.to_bytes(4, "big"))
    bodies = inbox.bodies()
    assert next(bodies) == b"a"
    with pytest.raises(ProtocolError, match=str(size)) as caught:
        next(bodies)
    assert caught.value.code == "too_large"


def test_a_line_that_never_ends_is_refused_one_byte_above_the_cap() -> None:
    inbox = Inbox()
    inbox.feed(b"{" * FRAME_CAP)
    assert list(inbox.bodies()) == []
    inbox.feed(b"{")
    with pytest.raises(ProtocolError) as caught:
        list(inbox.bodies())
    assert (caught.value.code, caught.value.fatal) == ("too_large", True)


def test_a_line_above_the_cap_is_refused_though_its_newline_is_there() -> None:
    inbox = Inbox()
    inbox.feed(b"{" * (FRAME_CAP + 1) + b"\n")
    with pytest.raises(ProtocolError):
        list(inbox.bodies())


@pytest.mark.parametrize("first", sorted(set(range(256)) - {0, ord("{")}))
def test_any_other_first_byte_ends_the_conversation(first: int) -> None:
    inbox = Inbox()
    inbox.feed(bytes([first]))
    with pytest.raises(ProtocolError, match="first byte 0") as caught:
        list(inbox.bodies())
    assert (caught.value.code, caught.value.fatal) == ("bad_request", True)
    assert inbox.mode is None


def test_the_first_byte_alone_decides_the_mode_before_a_message_is_whole() -> None:
    for byte, mode in ((b"\0", "frames"), (b"{", "lines")):
        inbox = Inbox()
        inbox.feed(byte)
        assert list(inbox.bodies()) == []
        assert inbox.mode == mode


def test_nothing_fed_is_nothing_begun() -> None:
    inbox = Inbox()
    inbox.feed(b"")
    assert list(inbox.bodies()) == []
    assert (inbox.mode, inbox.partial) == (None, False)


@pytest.mark.parametrize("stream", [b"\0", b"\0\0\0", b"\0\0\0\x04abc", b"{", b'{"op":"status"}'])
def test_half_a_message_is_kept_and_known_to_be_half(stream: bytes) -> None:
    inbox = Inbox()
    assert fed(inbox, [stream]) == []
    assert inbox.partial


def test_an_inbox_keeps_no_more_than_what_is_not_yet_given_out() -> None:
    inbox = Inbox()
    for _ in range(1000):
        assert fed(inbox, [b"\0\0\0\x03abc" * 100]) == [b"abc"] * 100
    assert len(inbox._buffer) == 0


@pytest.mark.parametrize(("head", "end"), [(b"\0\0\0\2", b""), (b"{", b"\n")], ids=["frames", "lines"])
def test_it_tells_whether_a_body_came_alone_and_in_one_piece(head: bytes, end: bytes) -> None:
    one = head + b"ab" + end
    inbox = Inbox()

    def alone(data: bytes) -> list[bool]:
        inbox.feed(data)
        return [inbox.alone for _ in inbox.bodies()] or [inbox.alone]

    assert alone(one) == [True]
    assert alone(one + one) == [False, False]
    assert alone(one[:3]) == [False]
    assert alone(one[3:]) == [False]
    assert alone(one + one[:3]) == [False]
    assert alone(one[3:]) == [False]
    assert alone(one) == [True]
