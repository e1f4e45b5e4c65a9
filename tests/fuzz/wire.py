"""The socket's messages: streams cut into frames and lines, requests in both modes, and what a client reads."""

from contextlib import suppress
from typing import Final

import msgspec

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import (
    FRAME_CAP,
    Inbox,
    ProtocolError,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from aixtiv_protocol.secret import Secret, encode_hook
from fuzz.target import Target

_REQUESTS: Final[tuple[requests.Request, ...]] = (
    requests.Token(account="anthropic/work", min_ttl=60, wait=3.5, scopes=("a", "b"), ticket=Secret("t")),
    requests.Login(
        account="a", settings=requests.ClientSettings(issuer="https://i.example", client_secret=Secret("s"))
    ),
    requests.Login(account="b", source=requests.Federation(rule="r", identity_command=("/bin/x", "y"))),
    requests.Login(account="c", source=requests.Command(command=("/bin/x",), timeout=2)),
    requests.Relay(method="POST", path="/v1/messages", headers=(("A", "b"), ("C", "d")), body=b"{}"),
    requests.Ticket(account="a", verbs=("relay", "token"), ttl=60),
    requests.Callback(account="a", pasted=Secret("http://127.0.0.1/?code=c&state=s")),
    requests.Status(agent="me"),
)
_REPLIES: Final[tuple[replies.Reply, ...]] = (
    replies.AccessToken(
        account="a", access_token=Secret("t"), token_type="Bearer", expires_at=1, scopes=("s",), generation=2
    ),
    replies.Failure(code="denied", message="no", hint="aixtiv status", retry_after=2.5),
    replies.AuditRecord(number=1, at=2.5, what="token"),
)


def stream(data: bytes) -> None:
    """What a session does with a caller's bytes: in one piece, and in small ones, the same messages come out."""
    size = 1 + (data[0] if data else 0)
    assert _messages(data[1:], FRAME_CAP) == _messages(data[1:], size)


def _messages(data: bytes, size: int) -> list[object]:
    inbox, found = Inbox(), list[object]()
    try:
        for at in range(0, len(data), size):
            inbox.feed(data[at : at + size])
            for body in inbox.bodies():
                assert len(body) <= FRAME_CAP
                assert inbox.mode
                found.append(body)
                try:
                    decode_request(body, inbox.mode)
                except ProtocolError as error:
                    found.append(str(error))
                    if error.fatal:
                        return found
    except ProtocolError as error:
        found.append(str(error))
    return found


def packed_request(data: bytes) -> None:
    """One that is taken goes back into bytes."""
    with suppress(ProtocolError):
        assert encode_request(decode_request(data, "frames"))


def json_request(data: bytes) -> None:
    with suppress(ProtocolError):
        assert decode_request(data, "lines") is not None


def reply(data: bytes) -> None:
    """One that is taken goes back into bytes, in both modes."""
    with suppress(ProtocolError):
        known = decode_reply(data)
        assert isinstance(known, Secret) or (encode_reply(known, "frames") and encode_reply(known, "lines"))


def _frames() -> list[bytes]:
    return [b"\4" + encode_request(one) for one in _REQUESTS] + [b"\0" + b"".join(map(encode_request, _REQUESTS))]


def _lines() -> list[bytes]:
    return [b"\7" + line + b"\n" for line in _json()] + [b"\xff" + b"\n".join(_json()) + b"\n"]


def _json() -> list[bytes]:
    return [msgspec.json.encode(one, enc_hook=encode_hook) for one in _REQUESTS]


TARGETS: Final = (
    Target("frames", stream, _frames, longest=1024, words=(b"\0\0\0\0", b"\0\4\0\0", b"\0\4\0\1", b"\xa2op\xa6status")),
    Target(
        "lines", stream, _lines, longest=1024, words=(b"\n", b'{"op":"status"}\n', b'"op":', b"\\u0000", b"\\ud800")
    ),
    Target("request-msgpack", packed_request, lambda: [encode_request(one)[4:] for one in _REQUESTS], form="msgpack"),
    Target("request-json", json_request, _json, form="json", words=(b"\\ud800", b"1e999", b"NaN", b'"op":')),
    Target("reply", reply, lambda: [encode_reply(one, "frames")[4:] for one in _REPLIES], form="msgpack"),
)
