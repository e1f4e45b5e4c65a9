"""Whatever comes in, the result is a message or a ProtocolError, never another error."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aixtiv_protocol.codec import FRAME_CAP, Inbox, ProtocolError, decode_reply, decode_request, encode_request
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import encode_hook
from protocol.shapes import any_request

Edit = Callable[[bytes], bytes]

# Anything MessagePack and JSON can hold, so that the fuzz gets past the first byte of a body.
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8)
names = st.sampled_from(
    ["op", "re", "account", "wait", "scopes", "settings", "source", "kind", "headers", "body", "data", "more", "x"]
)
anything = st.recursive(
    scalars
    | st.binary(max_size=8)
    | st.sampled_from(["token", "login", "relay", "piece", "ticket", "failure", "head"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | scalars, inner, max_size=4),
    max_leaves=12,
)


def converse(stream: bytes, cuts: list[int]) -> None:
    """What a session does, cut into reads anywhere. Fails by any exception but ProtocolError."""
    inbox = Inbox()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        inbox.feed(stream[begin:end])
        try:
            for body in inbox.bodies():
                assert len(body) <= FRAME_CAP
                if not _answered(body, inbox):
                    return
        except ProtocolError:
            return


def _answered(body: bytes, inbox: Inbox) -> bool:
    """Whether the conversation goes on."""
    assert inbox.mode
    try:
        decode_request(body, inbox.mode)
    except ProtocolError as error:
        return not error.fatal
    return True


cuts = st.lists(st.integers(0, 4096), max_size=5)


@given(st.binary(max_size=600), cuts)
@settings(max_examples=400)
@example(b"\0\0\0\0", [])
@example(b"{" * 600, [])
def test_random_bytes(stream: bytes, cuts: list[int]) -> None:
    converse(stream, cuts)


@given(st.binary(max_size=300))
@settings(max_examples=400)
def test_random_bytes_in_a_right_frame_and_in_a_line(body: bytes) -> None:
    converse(len(body).to_bytes(4, "big") + body, [])
    converse(b"{" + body + b"\n", [])
    with suppress(ProtocolError):
        decode_reply(body)


@given(anything)
@settings(max_examples=600)
def test_any_value_as_a_message(value: object) -> None:
    body = msgspec.msgpack.encode(value)
    converse(len(body).to_bytes(4, "big") + body, [])
    with suppress(ProtocolError):
        decode_reply(body)
    try:
        line = msgspec.json.encode(value)
    except (TypeError, msgspec.MsgspecError):  # JSON has no keys but strings
        return
    converse(line + b"\n", [])


def _flip(at: int, to: int) -> Edit:
    return lambda data: data[: at % len(data)] + bytes([to]) + data[at % len(data) + 1 :]


def _cut(at: int) -> Edit:
    return lambda data: data[: at % len(data)] or data


def _insert(at: int, what: bytes) -> Edit:
    return lambda data: data[: at % len(data)] + what + data[at % len(data) :]


edits = st.lists(
    st.builds(_flip, st.integers(0, 4096), st.integers(0, 255))
    | st.builds(_cut, st.integers(0, 4096))
    | st.builds(_insert, st.integers(0, 4096), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=4,
)


@given(any_request(), edits, cuts)
@settings(max_examples=600)
def test_right_messages_made_wrong(request: Request, edits: list[Edit], cuts: list[int]) -> None:
    frame = encode_request(request)
    line = msgspec.json.encode(request, enc_hook=encode_hook) + b"\n"
    for edit in edits:
        frame, line = edit(frame), edit(line)
    converse(frame + frame, cuts)
    converse(line + line, cuts)
    with suppress(ProtocolError):
        decode_reply(frame[4:])


@given(
    st.integers(1, 200_000),
    st.sampled_from([b"\x91", b"\x81\xa1x", b"[", b'{"x":']),
    st.sampled_from(["scopes", "settings", "x"]),
)
@settings(max_examples=60)
def test_deep_nesting_anywhere(depth: int, opening: bytes, field: str) -> None:
    deep = opening * min(depth, (FRAME_CAP - 60) // len(opening))
    body = b"\x82\xa2op\xa5login" + msgspec.msgpack.encode(field) + deep
    converse(len(body).to_bytes(4, "big") + body, [])
    converse(b'{"op":"login","' + field.encode() + b'":' + deep + b"\n", [])
    with suppress(ProtocolError):
        decode_reply(b"\x82\xa2re\xa6status" + msgspec.msgpack.encode(field) + deep)
