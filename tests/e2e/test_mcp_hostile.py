"""Remote MCP servers that lie, lead elsewhere, never end, are never content: each gets a sentence, and no token."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from peers.bridged import Bridge, bridge, peak
from peers.machine import Machine
from peers.mcp_hostile import (
    MCP,
    METADATA,
    RESOURCE,
    Answer,
    Asked,
    Hostile,
    hostile,
    said,
    sent_on,
    streamed,
)

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
def elsewhere() -> Iterator[Hostile]:
    """Another origin, which must never hear of a token."""
    with hostile() as elsewhere:
        yield elsewhere
        assert elsewhere.heard == []


@pytest.fixture
def at(machine: Machine, server: Hostile) -> Iterator[Bridge]:
    """A bridge to it, signed in: what is hostile comes after that."""
    with bridge(machine, server.mcp) as at:
        assert "result" in at.initialize()
        yield at


def refused(at: Bridge) -> str:
    """The sentence that `initialize` is answered with."""
    answer = at.initialize()
    assert "error" in answer, answer
    return str(answer["error"]["message"])


def test_one_that_behaves_is_signed_in_to_and_called(at: Bridge, server: Hostile) -> None:
    answer = at.call(greeting="hello\n")
    assert json.loads(answer["result"]["content"][0]["text"]) == {"greeting": "hello\n"}
    assert len(server.times("/authorize")) == 1
    asked = server.times("/authorize")[0].fields
    assert asked["resource"] == server.mcp
    assert asked["scope"] == "mcp"
    assert asked["code_challenge_method"] == "S256"
    assert server.times("/token")[0].fields["resource"] == server.mcp


# ---- lies before the sign-in


def lie(server: Hostile, path: str, **facts: Any) -> None:
    """At that path the server tells the truth but for these facts."""
    truth = server.resource if path == RESOURCE else server.metadata
    server.told[path] = lambda _: said({**truth, **facts})


@pytest.mark.parametrize(
    ("path", "facts", "named"),
    [
        (RESOURCE, {"resource": "https://other.example/mcp"}, "other.example"),
        (RESOURCE, {"resource": "http://127.0.0.1:1/mcp"}, "127.0.0.1:1"),
        (RESOURCE, {"authorization_servers": ["http://evil.example"]}, "evil.example"),
        (RESOURCE, {"authorization_servers": ["file:///etc/passwd"]}, "file:"),
        (METADATA, {"issuer": "https://evil.example"}, "evil.example"),
        (METADATA, {"token_endpoint": "http://evil.example/token"}, "evil.example"),
        (METADATA, {"authorization_endpoint": "javascript:alert(1)"}, "javascript:"),
        (METADATA, {"registration_endpoint": "http://evil.example/register"}, "evil.example"),
        (METADATA, {"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        (METADATA, {"code_challenge_methods_supported": None}, "PKCE"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_lie_in_its_metadata_ends_in_a_sentence_and_nobody_is_sent_anywhere(
    machine: Machine, server: Hostile, path: str, facts: dict[str, Any], named: str
) -> None:
    lie(server, path, **facts)
    with bridge(machine, server.mcp) as at:
        assert named in refused(at)
    assert server.times("/authorize") == server.times("/token") == server.times("/register") == []


@pytest.mark.parametrize("path", [METADATA, "/register"])
def test_metadata_that_leads_elsewhere_is_not_followed(
    machine: Machine, server: Hostile, elsewhere: Hostile, path: str
) -> None:
    server.told[path] = lambda asked: sent_on(f"{elsewhere.url}{asked.target}")
    with bridge(machine, server.mcp) as at:
        assert refused(at)
    assert server.times("/authorize") == []


@pytest.mark.parametrize("answer", [sent_on("http://127.0.0.1:1/"), said({"resource": 7}), said([]), Answer()], ids=str)
def test_a_resource_that_publishes_nothing_to_be_read_has_nobody_but_itself_to_sign_in_at(
    machine: Machine, server: Hostile, answer: Answer
) -> None:
    """As before RFC 9728: its own origin, and where a redirect leads nobody looks."""
    server.told[RESOURCE] = lambda _: answer
    with bridge(machine, server.mcp) as at:
        assert "result" in at.initialize()
    assert server.times("/token")[0].fields["resource"] == server.mcp


def test_a_token_endpoint_that_leads_elsewhere_is_not_followed(
    machine: Machine, server: Hostile, elsewhere: Hostile
) -> None:
    server.told["/token"] = lambda asked: sent_on(f"{elsewhere.url}{asked.target}")
    with bridge(machine, server.mcp) as at:
        assert refused(at)
    assert len(server.times("/token")) == 1


@pytest.mark.parametrize("path", [RESOURCE, METADATA, "/register", "/token"])
def test_an_answer_without_an_end_is_cut_off_where_it_is_too_long(machine: Machine, server: Hostile, path: str) -> None:
    server.told[path] = lambda _: Answer(200, (("Content-Type", "application/json"),), endless(b" " * 65536))
    with bridge(machine, server.mcp) as at:
        assert refused(at)
    assert peak(machine.pid) < ROOM


def endless(piece: bytes) -> Iterator[bytes]:
    return itertools.repeat(piece)


@pytest.mark.parametrize(
    "answer",
    [
        {"client_id": 7},
        {"client_id": ""},
        {},
        [],
        {"client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt"},
        {"client_id": "a\r\nX-Evil: 1"},
    ],
    ids=str,
)
def test_a_registration_that_is_nonsense_ends_in_a_sentence(machine: Machine, server: Hostile, answer: object) -> None:
    server.told["/register"] = lambda _: said(answer, 201)
    with bridge(machine, server.mcp) as at:
        assert refused(at)
    assert server.times("/authorize") == []


# ---- after it: where the token goes


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_that_leads_elsewhere_is_not_followed(
    at: Bridge, server: Hostile, elsewhere: Hostile, status: int
) -> None:
    server.told[MCP] = lambda _: sent_on(elsewhere.mcp, status)
    answer = at.call()
    assert "error" in answer
    assert not any(server.tokens[0] in str(header) for asked in elsewhere.heard for header in asked.headers.values())


def test_the_older_transport_leads_to_no_other_origin(machine: Machine, server: Hostile, elsewhere: Hostile) -> None:
    """HTTP+SSE: the stream's first event says where messages are posted to."""

    def older(asked: Asked) -> Answer:
        if asked.method == "POST" and server.tokens:
            return Answer(405)
        if asked.method == "GET" and asked.headers.get("authorization"):
            return streamed([f"event: endpoint\ndata: {elsewhere.mcp}\n\n".encode()])
        return server.converse(asked)

    server.told[MCP] = older
    with bridge(machine, server.mcp) as at:
        assert refused(at)


def test_a_challenge_that_names_metadata_of_another_resource_later_is_not_believed(
    at: Bridge, server: Hostile, elsewhere: Hostile
) -> None:
    lie(server, RESOURCE, resource=elsewhere.mcp, authorization_servers=[elsewhere.url])
    server.takes_tokens = False
    answer = at.call()
    assert "error" in answer
    assert len(server.times("/authorize")) == 1


# ---- after it: what is never enough


def test_a_401_for_ever_is_tried_a_few_times_and_then_said(at: Bridge, server: Hostile) -> None:
    server.takes_tokens = False
    answer = at.call()
    assert "aixtiv login" in answer["error"]["message"]
    assert len(server.times("/authorize")) <= 4
    before = len(server.times(MCP))
    server.takes_tokens = True
    assert "result" in at.call(), "the bridge lives on"
    assert len(server.times(MCP)) - before <= 3


def test_a_401_for_ever_from_the_start_is_tried_a_few_times_and_then_said(machine: Machine, server: Hostile) -> None:
    server.takes_tokens = False
    with bridge(machine, server.mcp) as at:
        assert "aixtiv login" in refused(at)
    assert 1 <= len(server.times("/authorize")) <= 3


def test_ever_more_scopes_are_asked_for_a_few_times_and_then_refused(at: Bridge, server: Hostile) -> None:
    numbers = itertools.count()

    def more(asked: Asked) -> Answer:
        return server.challenge(403, error="insufficient_scope", scope=f"more-{next(numbers)}")

    server.told[MCP] = more
    answer = at.call()
    assert "more-" in answer["error"]["message"]
    asked = [set(asked.fields["scope"].split()) for asked in server.times("/authorize")]
    assert 2 <= len(asked) <= 3
    assert all(fewer < wider for fewer, wider in itertools.pairwise(asked)), "each asks for all of before, and more"
