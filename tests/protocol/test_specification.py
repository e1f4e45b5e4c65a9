"""protocol/README.md and the code say the same, byte by byte and both ways."""

import subprocess
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from aixtiv.failures import raised
from aixtiv_protocol import PROTOCOL, replies, requests
from aixtiv_protocol.codec import (
    FRAME_CAP,
    Inbox,
    decode_reply,
    decode_request,
    encode_bare,
    encode_reply,
    encode_request,
)
from aixtiv_protocol.secret import Secret, decode_hook, encode_hook
from aixtivd.ipc.limits import Limits
from peers.presence import command
from protocol import specification
from protocol.shapes import REPLIES, REQUESTS, default_in_words, fields, in_words, tag
from protocol.specification import Example, examples, fenced, headings, rows, section

reply_from_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(replies.Reply, dec_hook=decode_hook)


def body_of(example: Example) -> bytes:
    inbox = Inbox()
    inbox.feed(example.frame)
    (body,) = inbox.bodies()
    return body


@pytest.mark.parametrize("example", examples("request"), ids=lambda example: example.line[:40])
def test_a_request_in_the_specification_is_what_the_codec_makes_of_it(example: Example) -> None:
    request = decode_request(example.line.encode(), "lines")
    assert decode_request(body_of(example), "frames") == request
    assert encode_request(request) == example.frame
    assert msgspec.json.encode(request, enc_hook=encode_hook).decode() == example.line


@pytest.mark.parametrize("example", examples("reply"), ids=lambda example: example.line[:40])
def test_a_reply_in_the_specification_is_what_the_codec_makes_of_it(example: Example) -> None:
    reply = reply_from_json.decode(example.line)
    assert decode_reply(body_of(example)) == reply
    assert encode_reply(reply, "frames") == example.frame
    assert encode_reply(reply, "lines") == example.line.encode() + b"\n"


def test_the_bare_token_in_the_specification_is_what_the_codec_makes_of_it() -> None:
    (example,) = examples("bare")
    assert encode_bare(Secret(example.line), "lines") == example.line.encode() + b"\n"
    assert encode_bare(Secret(example.line), "frames") == example.frame


def test_every_request_has_a_section_and_every_section_a_request() -> None:
    assert headings(3, "## Requests") == [tag(message) for message in REQUESTS]


def test_every_reply_has_a_section_and_every_section_a_reply() -> None:
    assert headings(3, "## Replies") == [tag(message) for message in REPLIES]


def _part(kind: str, message: type[Struct]) -> str:
    """The section of one message. Requests and replies may share a name, so it is looked for in its own half."""
    half = f"\n{section(f'## {kind}')}"
    _, found, rest = half.partition(f"\n### `{tag(message)}`\n")
    assert found
    return rest.partition("\n### ")[0]


@pytest.mark.parametrize("message", [*REQUESTS, *REPLIES], ids=lambda message: f"{message.__name__}")
def test_every_message_has_its_table_and_an_example(message: type[Struct]) -> None:
    half, kind, name = ("Requests", "request", "op") if message in REQUESTS else ("Replies", "reply", "re")
    text = _part(half, message)
    assert [row[:3] for row in rows(text, "field")] == described(message)
    assert [msgspec.json.decode(example.line)[name] for example in examples(kind, text)] == [tag(message)]


def described(message: type[Struct]) -> list[list[str]]:
    return [
        [field.encode_name, in_words(field.type), default_in_words(field)]
        for field in fields(message)
        if not (issubclass(message, requests.Asked) and field.name == "agent")
    ]


def test_the_field_of_every_request_and_the_settings_are_described() -> None:
    agent = next(field for field in fields(requests.Status) if field.name == "agent")
    assert [row[:3] for row in rows(section("## Messages"), "field")] == [["agent", in_words(agent.type), '""']]
    settings = _part("Requests", requests.Login).partition("`settings` is an object.")[2]
    assert [row[:3] for row in rows(settings, "field")] == described(requests.ClientSettings)


@pytest.mark.parametrize("kind", get_args(requests.Source), ids=lambda kind: str(kind.__name__))
def test_every_source_of_an_account_is_described(kind: type[Struct]) -> None:
    text = _part("Requests", requests.Login).partition("`source` is an object")[2]
    _, found, after = text.partition(f"`{tag(kind)}` ")
    assert found
    assert [row[:3] for row in rows(after, "field")][: len(fields(kind))] == described(kind)


def test_every_code_is_in_the_table_with_the_commands_exit_status() -> None:
    table = [(code, int(status)) for code, status, _ in rows(section("## Failures"), "code")]
    ours = [(code, raised(replies.Failure(code=code, message="")).exit_status) for code in get_args(replies.Code)]
    assert table == ours


def test_every_state_and_every_event_is_in_its_table() -> None:
    assert [row[0] for row in rows(section("### States of an account"), "state")] == list(get_args(replies.State))
    assert [row[0] for row in rows(section("### `event`"), "event")] == list(get_args(replies.Happening))
    records = _part("Replies", replies.AuditRecord)
    assert [row[0] for row in rows(records, "what")] == list(get_args(replies.What))
    for kind in get_args(replies.Kind):
        assert f"`{kind}`" in _part("Replies", replies.Account)


def test_the_limits_are_the_daemons() -> None:
    limits = Limits()
    assert [row[1] for row in rows(section("## Limits and deadlines"), "limit")] == [
        f"{FRAME_CAP} bytes",
        f"{limits.message:g} s",
        f"{limits.idle:g} s",
        f"{limits.stuck:g} s",
        f"{limits.idle:g} s",
        f"{limits.farewell:g} s",
        f"{limits.queued}",
        f"{limits.unread}",
        f"{limits.body}",
        f"{limits.connections}",
    ]
    assert f"at most {limits.queued} are" in section("## Answers and their order")
    relayed = section("## Relayed calls")
    assert f"at most {requests.PIECE} bytes" in relayed
    assert f"at most {limits.body} bytes" in relayed
    assert f"silent for {limits.idle:g} s" in relayed
    assert f"up to {limits.message:g} s to notice" in relayed
    assert f"at most {FRAME_CAP} bytes" in section("## Two ways in")


def test_the_protocols_number_is_the_codes() -> None:
    assert f"Protocol {PROTOCOL}." in specification.TEXT


def test_the_shell_example_gets_a_token(daemon: Path) -> None:
    (script,) = fenced("bash")
    netcat = Path(command("nc", package="netcat-openbsd"))
    environ = {"PATH": f"{netcat.parent}:/usr/bin:/bin", "AIXTIV_SOCKET": str(daemon)}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("gho_16C7e42F\n", "")


def test_the_python_example_gets_a_token(daemon: Path) -> None:
    (source,) = fenced("python")
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["token"](str(daemon), "github") == "gho_16C7e42F"


def test_the_python_example_says_the_daemons_sentence(daemon: Path) -> None:
    (source,) = fenced("python")
    names: dict[str, Any] = {}
    exec(source, names)
    with pytest.raises(RuntimeError, match=r"there is no account nobody \(aixtiv login nobody\)"):
        names["token"](str(daemon), "nobody")
