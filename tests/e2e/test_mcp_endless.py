"""Remote MCP servers whose messages never end, are too large, or are none: they cost no memory, and no other call."""

import gzip
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from aixtiv.mcp.events import LEAST_RETRY
from peers.bridged import Bridge, bridge, peak
from peers.machine import Machine
from peers.mcp_hostile import MCP, Answer, Asked, Hostile, Told, event, hostile, streamed
from peers.waiting import until

MIB: Final = 1 << 20
ENOUGH: Final = 40 * MIB  # of a stream, more than a message can have
ROOM: Final = 128  # MiB that a process may have had: what it holds by itself, and one message as large as one can be


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One for all: each test has a server of its own, and so an account of its own."""
    with TemporaryDirectory(prefix="aix-", dir="/tmp") as folder, Machine(Path(folder)) as machine:
        yield machine.start()


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


@pytest.fixture
def at(machine: Machine, server: Hostile) -> Iterator[Bridge]:
    """A bridge to it, signed in."""
    with bridge(machine, server.mcp) as at:
        assert "result" in at.initialize()
        yield at


def told_to_calls(server: Hostile, told: Callable[[Asked], Answer]) -> Told:
    """`told` for a tool that is called, and the truth for all else."""
    return lambda asked: told(asked) if b'"tools/call"' in asked.body else server.converse(asked)


def answered(asked: Asked, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked.message["id"], "result": {"content": [{"type": "text", "text": text}]}}


@pytest.mark.parametrize("how", ["whole", "in pieces", "as an event", "as a line of an event"])
def test_a_message_of_100_mb_is_refused_in_a_sentence_and_the_bridge_lives_on(
    machine: Machine, at: Bridge, server: Hostile, how: str
) -> None:
    def large(asked: Asked) -> Answer:
        many: Iterator[bytes] = itertools.chain(
            [json.dumps(answered(asked, ""))[:-5].encode()], itertools.repeat(b"x" * MIB, 100), [b'"}]}}']
        )
        json_type = (("Content-Type", "application/json"),)
        match how:
            case "whole":
                return Answer(200, json_type, b"".join(many))
            case "in pieces":
                return Answer(200, json_type, many)
            case "as an event":
                return streamed(itertools.chain([b"data: "], many, [b"\n\n"]))
            case _:
                return streamed(b"data: " + piece + b"\n" for piece in many)

    server.told[MCP] = told_to_calls(server, large)
    assert "32 MiB" in at.call()["error"]["message"]
    server.told.clear()
    assert "result" in at.call()
    assert at.peak() < ROOM
    assert peak(machine.pid) < ROOM


def test_a_message_of_100_mb_from_the_client_is_refused_too(machine: Machine, at: Bridge, server: Hostile) -> None:
    assert "32 MiB" in at.call(text="x" * 100 * MIB)["error"]["message"]
    assert "result" in at.call()
    assert max(len(asked.body) for asked in server.times(MCP)) < MIB
    assert at.peak() < ROOM


@pytest.mark.parametrize(
    "line",
    [
        b": still here" + b"." * 200 + b"\n",
        b"data: more" + b"." * 200 + b"\n",
        b"id: " + b"7" * 200 + b"\n\n",
        *(pytest.param(line, marks=pytest.mark.slow) for line in (b"data:\n", b"retry: 1\n")),
    ],
)
def test_a_stream_of_nothing_without_an_end_takes_no_memory_and_holds_up_nobody_else(
    machine: Machine, at: Bridge, server: Hostile, line: bytes
) -> None:
    """Read on for as long as it is nothing; and given up where it becomes a message that never ends."""
    sent = [0, 0]  # bytes, and whether it was given up
    piece = line * (65536 // len(line))

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield piece
                sent[0] += len(piece)
        finally:
            sent[1] = 1

    def on_and_on(asked: Asked) -> Answer:
        return streamed(pieces()) if b'"for ever"' in asked.body else server.converse(asked)

    server.told[MCP] = on_and_on
    at.send("tools/call", name="echo", arguments={"how": "for ever"})
    assert "result" in at.call()
    until(lambda: sent[0] > ENOUGH or sent[1], "so much was read, or no more")
    assert "result" in at.ask("tools/list")
    assert at.peak() < ROOM
    assert peak(machine.pid) < ROOM


def test_messages_without_an_end_wait_for_a_client_that_does_not_read(
    machine: Machine, at: Bridge, server: Hostile
) -> None:
    """Back-pressure: what the client does not take is not fetched, by bridge or daemon."""
    notice = event(
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 60_000}}
    )
    sent = 0

    def on_and_on(asked: Asked) -> Answer:
        def pieces() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(4000):  # 240 MB
                sent += len(notice)
                yield notice
            yield event(answered(asked, "at last"))

        return streamed(pieces())

    server.told[MCP] = told_to_calls(server, on_and_on)
    at.send("tools/call", name="echo", arguments={})
    for _ in range(10):
        at.hear()
    looks: deque[int] = deque(maxlen=25)

    def rests() -> bool:
        looks.append(sent)
        return looks.count(sent) == looks.maxlen

    until(rests, "for half a second nothing more was sent")
    assert at.peak() < ROOM
    assert peak(machine.pid) < ROOM
    assert sent < 64 * MIB, "the server was read from although nobody took it"


NONSENSE: Final = (
    b"",
    b"<html>",
    b"null",
    b"7",
    b"[]",
    b'{"jsonrpc": "2.0"}',
    b"\xff\xfe",
    b"{" * 100_000,
    b"[" * 100_000,
)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/html", ""])
def test_an_answer_that_is_no_message_never_reaches_the_client(at: Bridge, server: Hostile, kind: str) -> None:
    due = list(NONSENSE)

    def nonsense(_: Asked) -> Answer:
        body = due.pop(0)
        text = b"data: " + body + b"\n\n" if kind == "text/event-stream" else body
        return Answer(200, (("Content-Type", kind),) if kind else (), text)

    server.told[MCP] = told_to_calls(server, nonsense)
    for body in NONSENSE:
        assert at.call()["error"]["message"], body[:20]
    server.told.clear()
    assert "result" in at.call()
    assert at.others == []


def test_a_message_over_several_lines_reaches_the_client_as_one(at: Bridge, server: Hostile) -> None:
    def lines(asked: Asked) -> Answer:
        text = json.dumps(answered(asked, "a\nb"), indent=2)
        return streamed(["".join(f"data: {line}\n" for line in text.splitlines()).encode() + b"\n"])

    server.told[MCP] = told_to_calls(server, lines)
    assert at.call()["result"]["content"][0]["text"] == "a\nb"


def test_a_stream_that_ends_at_once_each_time_is_taken_up_again_without_haste(at: Bridge, server: Hostile) -> None:
    """Each time with an event, so that it never counts as given up; the server asks for a millisecond in between.

    There are two such streams: the request's, and the one on which the server speaks by itself.
    """
    numbers = itertools.count()

    def again(asked: Asked) -> Answer:
        if asked.method == "POST" and b'"for ever"' not in asked.body:
            return server.converse(asked)
        return streamed([f"id: {next(numbers)}\nretry: 1\n\n".encode()])

    server.told[MCP] = again
    began = time.monotonic()
    at.send("tools/call", name="echo", arguments={"how": "for ever"})
    resumed = until(lambda: [one for one in server.times(MCP) if "last-event-id" in one.headers][9:], "it was resumed")
    assert time.monotonic() - began > 4 * LEAST_RETRY
    assert int(resumed[0].headers["last-event-id"]) >= 4
    assert "result" in at.call()


@pytest.mark.parametrize("session", ["a b", "é", "x" * 8192, "\t"], ids=["blank", "not ASCII", "long", "nothing"])
def test_a_session_of_any_kind_costs_a_sentence_at_most(machine: Machine, server: Hostile, session: str) -> None:
    def named(asked: Asked) -> Answer:
        answer = server.converse(asked)
        return Answer(answer.status, (*answer.headers, ("Mcp-Session-Id", session)), answer.body)

    server.told[MCP] = named
    with bridge(machine, server.mcp) as at:
        answers = [at.initialize(), at.call(), at.call()]
        assert all("result" in answer or answer["error"]["message"] for answer in answers), answers
        server.told.clear()
        _, err, code = at.end()
    assert code == 0, err
    assert "Traceback" not in err


def test_an_answer_that_is_packed_although_nobody_asked_is_not_unpacked(at: Bridge, server: Hostile) -> None:
    bomb = gzip.compress(b" " * 200 * MIB, 1)
    packed = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    server.told[MCP] = told_to_calls(server, lambda _: Answer(200, packed, bomb))
    assert at.call()["error"]["message"]
    assert at.peak() < ROOM


def test_no_token_stands_in_the_bridges_memory_arguments_or_environment(machine: Machine, server: Hostile) -> None:
    with bridge(machine, server.mcp) as at:
        at.initialize()
        assert "result" in at.call()
        process = Path(f"/proc/{at._process.pid}")
        for name in ("cmdline", "environ"):
            assert server.tokens[0].encode() not in (process / name).read_bytes()
        assert not in_memory(process, server.tokens[0].encode())
        assert in_memory(process, b"aixtiv"), "its memory can be read"


def in_memory(process: Path, word: bytes) -> bool:
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, mode, *_, name = [*line.split(maxsplit=5), ""][:6]
            if not mode.startswith("rw") or name.startswith("[v"):
                continue
            start, end = (int(edge, 16) for edge in span.split("-"))
            with suppress(OSError):  # a page that nobody may read
                memory.seek(start)
                if word in memory.read(end - start):
                    return True
    return False
