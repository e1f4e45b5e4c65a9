"""Whatever Struct goes out comes in again, in both modes."""

from typing import Any

import msgspec
from hypothesis import given, settings

from aixtiv_protocol.codec import Inbox, decode_reply, decode_request, encode_reply, encode_request
from aixtiv_protocol.replies import Reply
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import decode_hook, encode_hook
from protocol.shapes import any_reply, any_request

reply_from_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Reply, dec_hook=decode_hook)


def only_body(data: bytes) -> bytes:
    inbox = Inbox()
    inbox.feed(data)
    (body,) = inbox.bodies()
    assert not inbox.partial
    return body


@given(any_request())
@settings(max_examples=300)
def test_a_request_goes_through_a_frame_unchanged(request: Request) -> None:
    assert decode_request(only_body(encode_request(request)), "frames") == request


@given(any_request())
@settings(max_examples=300)
def test_a_request_goes_through_a_line_unchanged(request: Request) -> None:
    line = msgspec.json.encode(request, enc_hook=encode_hook) + b"\n"
    assert decode_request(only_body(line), "lines") == request


@given(any_reply())
@settings(max_examples=300)
def test_a_reply_goes_through_a_frame_unchanged(reply: Reply) -> None:
    assert decode_reply(only_body(encode_reply(reply, "frames"))) == reply


@given(any_reply())
@settings(max_examples=300)
def test_a_reply_goes_through_a_line_unchanged(reply: Reply) -> None:
    assert reply_from_json.decode(only_body(encode_reply(reply, "lines"))) == reply
