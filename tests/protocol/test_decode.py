"""Message bodies into Structs: what is refused, in which words, and that no word of the caller's comes back."""

import math
from typing import Any

import msgspec
import pytest

from aixtiv_protocol import VERSION, codec, replies, requests
from aixtiv_protocol.codec import (
    FRAME_CAP,
    Inbox,
    Mode,
    ProtocolError,
    decode_reply,
    decode_request,
    encode_bare,
    encode_reply,
    encode_request,
)
from aixtiv_protocol.requests import PIECE
from aixtiv_protocol.secret import Secret, encode_hook
from protocol.shapes import REPLIES, REQUESTS, nested, tag

MODES: list[Mode] = ["frames", "lines"]
pack = msgspec.msgpack.encode


def refusal(body: bytes, mode: Mode) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode_request(body, mode)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "msgspec's sentence quotes the input: it is not chained"
    return caught.value


UNDERSTOOD: list[tuple[dict[str, Any], requests.Request]] = [
    ({"op": "status"}, requests.Status()),
    ({"op": "token"}, requests.Token(account="", min_ttl=0, wait=30.0, scopes=(), form="full")),
    ({"op": "token", "wait": 0}, requests.Token(wait=0.0)),
    ({"op": "token", "wait": 3600}, requests.Token(wait=3600.0)),
    ({"op": "token", "min_ttl": 1_000_000_000}, requests.Token(min_ttl=1_000_000_000)),
    ({"account": "a", "agent": "b", "op": "logout"}, requests.Logout(account="a", agent="b")),
    ({"op": "login", "port": 65535}, requests.Login(port=65535)),
    ({"op": "api-key", "key": None}, requests.ApiKey()),
    ({"op": "unlock", "passphrase": ""}, requests.Unlock(passphrase=Secret(""))),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("said", "meant"), UNDERSTOOD)
def test_a_message_is_understood(said: dict[str, Any], meant: requests.Request, mode: Mode) -> None:
    body = pack(said) if mode == "frames" else msgspec.json.encode(said)
    assert decode_request(body, mode) == meant


# Never fatal: where the next message begins is known, so the caller may go on.
REFUSED: list[tuple[Any, str]] = [
    ({}, "the field op is missing"),
    ([], "that message: expected `object`"),
    (None, "that message: expected `object`"),
    ("status", "that message: expected `object`"),
    ({"op": "teleport"}, "this daemon does not know that request"),
    ({"op": ""}, "this daemon does not know that request"),
    ({"op": None}, "op: expected `str`"),
    ({"op": 1}, "op: expected `str`"),
    ({"op": "callback"}, "the field pasted is missing"),
    ({"op": "callback", "pasted": None}, "pasted: expected `str`"),
    ({"op": "callback", "pasted": ["hunter2"]}, "pasted: expected `str`"),
    ({"op": "token", "only": "read"}, "this daemon does not know one of the fields of that request"),
    ({"op": "token", "pasted": "hunter2"}, "this daemon does not know one of the fields of that request"),
    ({"op": "login", "settings": {"x": 1}}, "this daemon does not know one of the fields of that request"),
    ({"op": "login", "settings": {"issuer": 1}}, "settings.issuer: expected `str`"),
    ({"op": "login", "settings": {"client_auth": "hunter2"}}, "settings.client_auth: not a value that is understood"),
    ({"op": "login", "port": 65536}, "port: expected `int` <= 65535"),
    ({"op": "login", "port": -1}, "port: expected `int` >= 0"),
    ({"op": "login", "replace": 1}, "replace: expected `bool`"),
    ({"op": "token", "scopes": "read write"}, "scopes: expected `array`"),
    ({"op": "token", "scopes": ["read", 7]}, "scopes[1]: expected `str`"),
    ({"op": "token", "form": "hunter2"}, "form: not a value that is understood"),
    ({"op": "token", "min_ttl": "60"}, "min_ttl: expected `int`"),
    ({"op": "token", "min_ttl": 1.5}, "min_ttl: expected `int`"),
    ({"op": "token", "min_ttl": True}, "min_ttl: expected `int`"),
    ({"op": "token", "min_ttl": -1}, "min_ttl: expected `int` >= 0"),
    ({"op": "token", "min_ttl": 1_000_000_001}, "min_ttl: expected `int` <= 1000000000"),
    ({"op": "token", "min_ttl": 2**63}, "min_ttl: expected `int` <= 1000000000"),
    ({"op": "token", "min_ttl": 2**64 - 1}, "min_ttl: expected `int` <= 1000000000"),
    ({"op": "token", "wait": -1}, "wait: expected `float` >= 0.0"),
    ({"op": "token", "wait": -0.001}, "wait: expected `float` >= 0.0"),
    ({"op": "token", "wait": 3600.5}, "wait: expected `float` <= 3600.0"),
    ({"op": "token", "wait": 1e308}, "wait: expected `float` <= 3600.0"),
    ({"op": "token", "wait": 2**63}, "wait: expected `float` <= 3600.0"),
    ({"op": "refresh", "wait": "soon"}, "wait: expected `float`"),
    ({"op": "verify", "wait": None}, "wait: expected `float`"),
    ({"op": "relay"}, "the field path is missing"),
    ({"op": "relay", "path": "/", "headers": {"x-api-key": "hunter2"}}, "headers: expected `array`"),
    ({"op": "relay", "path": "/", "headers": [["hunter2"]]}, "headers[0]: expected `array` of length 2"),
    ({"op": "relay", "path": "/", "headers": [["a", "b", "hunter2"]]}, "headers[0]: expected `array` of length 2"),
    ({"op": "relay", "path": "/", "headers": [["a", "b"], ["a", 1]]}, "headers[1][1]: expected `str`"),
    ({"op": "relay", "path": "/", "fallback": "hunter2"}, "fallback: not a value that is understood"),
    ({"op": "relay", "path": "/", "ticket": ["hunter2"]}, "ticket: expected `str`"),
    ({"op": "ticket", "verbs": ["relay", "hunter2"]}, "verbs[1]: not a value that is understood"),
    ({"op": "ticket-revoke"}, "the field ticket is missing"),
    ({"op": "audit", "limit": 1_000_001}, "limit: expected `int` <= 1000000"),
    ({"op": "usage", "since": -1}, "since: expected `int` >= 0"),
    ({"op": "login", "source": "hunter2"}, "source: expected `object | null`"),
    ({"op": "login", "source": {}}, "the field kind is missing"),
    ({"op": "login", "source": {"kind": "hunter2"}}, "source.kind: not a value that is understood"),
    ({"op": "login", "source": {"kind": "command"}}, "the field command is missing"),
    ({"op": "login", "source": {"kind": "command", "command": "hunter2"}}, "source.command: expected `array`"),
    (
        {"op": "login", "source": {"kind": "federation", "command": ["/hunter2"]}},
        "this daemon does not know one of the fields of that request",
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("said", "sentence"), REFUSED)
def test_a_message_we_do_not_know_is_refused_in_a_sentence_of_our_own(said: Any, sentence: str, mode: Mode) -> None:
    body = pack(said) if mode == "frames" else msgspec.json.encode(said)
    error = refusal(body, mode)
    assert (error.code, str(error), error.fatal) == ("bad_request", sentence, False)
    assert "hunter2" not in repr(error)


@pytest.mark.parametrize("mode", MODES)
def test_bytes_are_binary_in_a_frame_and_base64_in_a_line(mode: Mode) -> None:
    data = bytes(range(256))
    said = {"op": "piece", "data": data}
    body = pack(said) if mode == "frames" else msgspec.json.encode(said)
    assert decode_request(body, mode) == requests.Piece(data=data)


@pytest.mark.parametrize(
    ("mode", "body", "sentence"),
    [
        ("frames", pack({"op": "piece", "data": b"x" * (PIECE + 1)}), "data: expected `bytes` of length <= 65536"),
        ("lines", b'{"op":"piece","data":"%s"}' % (b"AAAA" * 22000), "data: expected `bytes` of length <= 65536"),
        ("frames", pack({"op": "piece", "data": "hunter2"}), "data: expected `bytes`"),
        ("lines", b'{"op":"piece","data":"hunter2!"}', "data: not a value that is understood"),
        ("lines", b'{"op":"piece","data":7}', "data: expected `bytes`"),
    ],
)
def test_a_piece_that_is_none_is_refused_in_a_sentence_of_our_own(mode: Mode, body: bytes, sentence: str) -> None:
    error = refusal(body, mode)
    assert (error.code, str(error), error.fatal) == ("bad_request", sentence, False)


def test_a_whole_piece_fits_a_message_in_both_modes() -> None:
    piece = requests.Piece(data=b"\xff" * PIECE)
    assert len(encode_request(piece)) < FRAME_CAP
    assert len(msgspec.json.encode(piece)) < FRAME_CAP


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("op", ["token", "refresh", "verify"])
def test_no_request_waits_for_a_time_that_is_no_number(op: str, number: float) -> None:
    assert str(refusal(pack({"op": op, "wait": number}), "frames")).startswith("wait: expected `float`")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "1" + "0" * 5000])
@pytest.mark.parametrize("field", ["min_ttl", "wait"])
def test_a_number_that_json_can_write_and_nobody_means_is_refused(field: str, number: str) -> None:
    error = refusal(f'{{"op":"token","{field}":{number}}}'.encode(), "lines")
    assert str(error).startswith(f"{field}: ")
    assert not error.fatal


@pytest.mark.parametrize("sentence", ["Expected `str` - at `$.hunter2 hunter2`", "hunter2", "Expected hunter2, got 1"])
def test_a_sentence_that_msgspec_does_not_make_today_shows_nothing_of_the_callers_either(sentence: str) -> None:
    assert "hunter2" not in codec._without_values(sentence)


GARBAGE: list[tuple[Mode, bytes]] = [
    ("frames", b""),
    ("frames", b"\xc1"),  # never used in MessagePack
    ("frames", b"\x81\xa2op"),
    ("frames", pack({"op": "status"}) + b"\xc0"),
    ("frames", b"\x82\xa2op\xa6status\xa1\xff\xc0"),  # a name that is not UTF-8
    ("frames", b"\x82\xa2op\xa5token\xa7account\xa1\xff"),  # a value that is not UTF-8
    ("frames", b"\xdf\xff\xff\xff\xff"),  # a map of four thousand million
    ("frames", b"\x82\xa2op\xa5token\xa6scopes\xdd\xff\xff\xff\xff"),  # an array of as many
    ("frames", b"\xdb\xff\xff\xff\xff"),  # a string of four gigabytes
    ("lines", b""),
    ("lines", b"{"),
    ("lines", b'{"op":"status"'),
    ("lines", b'{"op":"status"} x'),
    ("lines", b'{"op":"status"}{"op":"status"}'),
    ("lines", b"{'op':'status'}"),
    ("lines", b'{"op":"token","account":"\xff"}'),
    ("lines", b'{"op":"token","account":"\\ud800"}'),  # half a surrogate pair
    ("lines", b'{"op":"token","wait":NaN}'),
    ("lines", b'{"op":"token","wait":Infinity}'),
    ("lines", b'{"op":"token","account":"a\nb"}'),
    ("lines", b'\xef\xbb\xbf{"op":"status"}'),  # a byte order mark
]


@pytest.mark.parametrize(("mode", "body"), GARBAGE)
def test_garbage_ends_the_conversation(mode: Mode, body: bytes) -> None:
    error = refusal(body, mode)
    assert str(error) == f"that message is not {'MessagePack' if mode == 'frames' else 'JSON'}"
    assert (error.code, error.fatal) == ("bad_request", True)


@pytest.mark.parametrize("depth", [50, 1_000, 100_000])
def test_nesting_without_end_is_a_protocol_error(depth: int) -> None:
    for field in (b"scopes", b"news"):
        name = b"\xa6scopes" if field == b"scopes" else b"\xa4news"
        refusal(b"\x82\xa2op\xa5token" + name + b"\x91" * depth + b"\xc0", "frames")
        refusal(b'{"op":"token","' + field + b'":' + b"[" * depth + b"]" * depth + b"}", "lines")
    with pytest.raises(ProtocolError):
        decode_reply(b"\x91" * depth + b"\xc0")
    nested_news = b"\x82\xa2re\xa4done\xa4news" + b"\x91" * depth + b"\xc0"  # replies skip what they do not know
    try:
        assert decode_reply(nested_news) == replies.Done()
    except ProtocolError:
        assert depth > 500


@pytest.mark.parametrize("mode", MODES)
def test_of_a_field_said_twice_the_last_counts_and_two_ops_are_refused(mode: Mode) -> None:
    twice = (
        b"\x83\xa2op\xa6logout\xa7account\xa1a\xa7account\xa1b"
        if mode == "frames"
        else b'{"op":"logout","account":"a","account":"b"}'
    )
    assert decode_request(twice, mode) == requests.Logout(account="b")
    ops = b"\x82\xa2op\xa6status\xa2op\xa4stop" if mode == "frames" else b'{"op":"status","op":"stop"}'
    assert not refusal(ops, mode).fatal


@pytest.mark.parametrize("message", REQUESTS)
def test_every_request_and_every_struct_in_it_forbids_unknown_fields(message: type[msgspec.Struct]) -> None:
    for part in nested(message):
        assert part.__struct_config__.forbid_unknown_fields, part
        assert part.__struct_config__.omit_defaults, part
        assert part.__struct_config__.frozen, part
    assert message.__struct_config__.tag_field == "op"


@pytest.mark.parametrize("message", REPLIES)
def test_every_reply_and_every_struct_in_it_skips_unknown_fields(message: type[msgspec.Struct]) -> None:
    for part in nested(message):
        assert not part.__struct_config__.forbid_unknown_fields, part
        assert part.__struct_config__.omit_defaults, part
        assert part.__struct_config__.frozen, part
    assert message.__struct_config__.tag_field == "re"


def test_an_old_client_skips_a_newer_daemons_news() -> None:
    body = pack({"re": "done", "note": "ok", "news": {"deep": [1, 2, {"er": None}]}, "more": 2**40})
    assert decode_reply(body) == replies.Done(note="ok")


def test_an_old_client_reads_a_code_a_state_and_an_event_it_has_no_name_for() -> None:
    """Else a newer daemon's sentence and hint would never reach the person."""
    said = {"re": "failure", "code": "relay_refused", "message": "the relay refused", "hint": "aixtiv doctor"}
    failure = decode_reply(pack(said))
    assert isinstance(failure, replies.Failure)
    assert (failure.code, failure.hint) == ("relay_refused", "aixtiv doctor")
    account = {"re": "account", "name": "a", "provider": "p", "kind": "device-bound", "state": "resting"}
    assert isinstance(decode_reply(pack(account)), replies.Account)
    assert isinstance(decode_reply(pack({"re": "event", "event": "rotated", "at": 1.0})), replies.Event)


def test_a_reply_of_an_unknown_kind_can_be_skipped_and_garbage_cannot() -> None:
    with pytest.raises(ProtocolError, match=f"aixtiv {VERSION}") as caught:
        decode_reply(pack({"re": "device-code", "user_code": "WDJB-MJHT"}))
    assert not caught.value.fatal
    for body in (b"", b"\xc1", b"\xa1\xff", pack(1), pack([]), pack({}), pack({"re": 1}), pack({"re": "token"})):
        with pytest.raises(ProtocolError) as caught:
            decode_reply(body)
        assert caught.value.fatal, body


def test_a_lone_string_is_a_bare_token_and_is_secret() -> None:
    said = decode_reply(pack("gho_16C7e42F"))
    assert isinstance(said, Secret)
    assert said.reveal() == "gho_16C7e42F"


NEEDED: dict[str, dict[str, Any]] = {
    "adopt": {"refresh_token": Secret("x")},
    "callback": {"pasted": Secret("x")},
    "rename": {"account": "x", "to": "y"},
    "relay": {"path": "/"},
    "ticket-revoke": {"ticket": "x"},
    "key-move": {"to": "file"},
    "export": {"new_passphrase": Secret("x")},
    "restore": {"passphrase": Secret("x")},
}


def test_fields_with_their_default_are_left_out() -> None:
    assert encode_request(requests.Token()) == b"\0\0\0\x0a" + b"\x81\xa2op\xa5token"
    for message in REQUESTS:
        needed = NEEDED.get(tag(message), {})
        said = msgspec.msgpack.decode(pack(message(**needed), enc_hook=encode_hook))
        assert set(said) == {"op", *needed}


def test_a_request_above_the_cap_is_refused_before_it_is_sent() -> None:
    fits = requests.Callback(pasted=Secret("x" * (FRAME_CAP - 50)))
    assert len(encode_request(fits)) <= FRAME_CAP + 4
    with pytest.raises(ProtocolError) as caught:
        encode_request(requests.Callback(pasted=Secret("x" * FRAME_CAP)))
    assert (caught.value.code, str(caught.value)) == (
        "too_large",
        "a request of 262169 bytes is above the cap of 262144",
    )


def test_a_request_with_bytes_that_are_no_text_is_refused_before_it_is_sent() -> None:
    pasted = Secret(b"caf\xe9".decode(errors="surrogateescape"))
    with pytest.raises(ProtocolError, match="that request holds text that is not UTF-8") as caught:
        encode_request(requests.Callback(pasted=pasted))
    assert caught.value.__suppress_context__, "the UnicodeEncodeError carries the secret"


def _sent(data: bytes, mode: Mode) -> bytes:
    inbox = Inbox()
    inbox.feed(data)
    (body,) = inbox.bodies()
    assert inbox.mode == mode
    return body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (replies.Done(note="x" * FRAME_CAP), "too_large"),
        (replies.Done(note="\ud800"), "internal"),
        (replies.AccessToken(account="a", access_token=Secret("t"), expires_at=-(2**70)), "internal"),
    ],
)
def test_a_reply_that_cannot_be_sent_goes_out_as_a_failure(reply: replies.Reply, code: str, mode: Mode) -> None:
    body = _sent(encode_reply(reply, mode), mode)
    said = msgspec.msgpack.decode(body) if mode == "frames" else msgspec.json.decode(body)
    if mode == "lines" and isinstance(reply, replies.AccessToken):
        assert said["expires_at"] == -(2**70)  # JSON has no largest integer
        return
    assert (said["re"], said["code"]) == ("failure", code)


@pytest.mark.parametrize("mode", MODES)
def test_a_bare_token_is_a_lone_string_or_a_lone_line(mode: Mode) -> None:
    data = encode_bare(Secret("ab"), mode)
    assert data == (b"\0\0\0\x03\xa2ab" if mode == "frames" else b"ab\n")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ['a\n{"re":"done"}', "a\rb", "a\0", "caf\u00e9", "\ud800", "x" * (FRAME_CAP - 4)])
def test_a_token_that_could_break_its_line_is_a_failure(text: str, mode: Mode) -> None:
    said = _sent(encode_bare(Secret(text), mode), mode)
    assert b"not one a line can carry" in said
    assert b'{"re":"done"}' not in said


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_bare_token_still_fits_a_frame(mode: Mode) -> None:
    data = encode_bare(Secret("x" * (FRAME_CAP - 5)), mode)
    assert data.count(b"x") == FRAME_CAP - 5
    if mode == "frames":
        assert len(_sent(data, "frames")) == FRAME_CAP
