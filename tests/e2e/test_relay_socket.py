"""`relay` on the socket against the real daemon and a strict Claude: bodies whole, cut, answered early, abandoned."""

import hashlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from aixtiv.client import Client
from aixtiv.failures import Denied
from aixtiv_protocol import codec, replies, requests
from peers.claude_api.process import sent
from peers.claude_api.weather import Weather, failure
from peers.desk import Desk, shared_desk

PATH = "/v1/messages?beta=true"
HEADERS = (("anthropic-version", "2023-06-01"), ("content-type", "application/json"))


@pytest.fixture(scope="module")
def shared() -> Iterator[Desk]:
    with shared_desk() as at:
        yield at


@pytest.fixture
def at(shared: Desk) -> Desk:
    shared.renew()
    return shared


@pytest.fixture
def client(at: Desk) -> Iterator[Client]:
    with Client(str(at.machine.socket), agent="builder-7") as client:
        yield client


def message(size: int, *, stream: bool = False) -> bytes:
    said: dict[str, Any] = {"model": "m-1", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * size}]}
    return json.dumps(said | ({"stream": True} if stream else {})).encode()


@pytest.mark.parametrize("size", [10, 200_000, 20_000_000])
@pytest.mark.parametrize("said", [True, False])
def test_a_body_of_any_size_arrives_whole(at: Desk, client: Client, size: int, said: bool) -> None:
    body = message(size)
    parts = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
    with client.relay(PATH, method="POST", headers=HEADERS, body=body if said else iter(parts)) as relayed:
        assert (relayed.status, relayed.account, relayed.kind) == (200, "anthropic", "oauth")
        assert json.loads(relayed.read())["type"] == "message"
    heard = at.claude.requests[-1]
    assert (heard["size"], heard["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert sent(heard, "x-agent-id") == "builder-7"
    assert sent(heard, "content-length") == (str(len(body)) if said or len(parts) == 1 else "")


def test_an_answer_that_comes_early_is_the_answer(at: Desk, client: Client) -> None:
    at.claude.set_weather(Weather(early=True, status=413, body="too large"))
    with client.relay(PATH, method="POST", headers=HEADERS, body=message(20_000_000)) as relayed:
        assert (relayed.status, relayed.read()) == (413, b"too large")


def test_an_error_of_the_api_is_an_answer_as_it_came(at: Desk, client: Client) -> None:
    at.claude.set_weather(failure(429, "rate_limit_error", "slow down", retry_after="7"))
    with client.relay(PATH, method="POST", headers=HEADERS, body=message(10)) as relayed:
        assert relayed.status == 429
        assert dict(relayed.headers)["retry-after"] == "7"
        assert json.loads(relayed.read())["error"]["message"] == "slow down"


def test_a_caller_who_hangs_up_ends_the_upstream_call(at: Desk, client: Client) -> None:
    at.claude.set_weather(Weather(silence=2))
    with client.relay(PATH, method="POST", headers=HEADERS, body=message(10, stream=True)) as relayed:
        assert next(relayed).startswith(b"event: ")
    at.claude.until(gone=1)


@pytest.mark.parametrize("how", ["it is revoked", "it expires"])
def test_a_stream_ends_with_its_ticket(at: Desk, client: Client, how: str) -> None:
    at.claude.set_weather(Weather(silence=2))
    ticket = client.ticket("anthropic", ttl=1 if how == "it expires" else 60)
    asked = requests.Relay(
        path=PATH, method="POST", headers=HEADERS, body=message(10, stream=True), ticket=ticket.ticket
    )
    with at.machine.conversation() as talk:
        talk.say(asked)
        assert isinstance(talk.hear(), replies.Head)
        if how == "it is revoked":
            client.revoke_ticket(ticket.id)
        while isinstance(last := talk.hear(), replies.Piece):
            pass
    assert isinstance(last, replies.Failure)
    assert (last.code, last.message) == ("denied", "the ticket of this request has ended")
    at.claude.until(gone=1)


def test_a_body_cut_by_a_half_close_is_never_a_whole_request(at: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(str(at.machine.socket))
        body = message(300_000)[:-1]
        first = requests.Relay(path=PATH, method="POST", headers=HEADERS, body=body[:60_000], more=True)
        rest = [requests.Piece(data=body[start : start + 60_000]) for start in range(60_000, len(body), 60_000)]
        peer.sendall(codec.encode_request(first) + b"".join(map(codec.encode_request, rest)))
        at.claude.until(requests=1)
        peer.shutdown(socket.SHUT_WR)
        inbox = codec.Inbox()
        while data := peer.recv(65536):
            inbox.feed(data)
        told = [codec.decode_reply(body) for body in inbox.bodies()]
    assert [type(one) for one in told] == [replies.Failure]
    (heard,) = at.claude.until(gone=1)["requests"]
    assert (heard["over"], heard["status"]) == (False, 0)


def test_a_ticket_stands_for_its_account_and_dies_with_its_revocation(at: Desk, client: Client) -> None:
    made = client.ticket("anthropic", verbs=("relay", "token"), name="mine")
    assert client.token(ticket=made.ticket).access_token == client.token("anthropic").access_token
    with client.relay("/v1/models", headers=HEADERS, ticket=made.ticket) as relayed:
        assert (relayed.status, relayed.account) == (200, "anthropic")
        relayed.read()  # to its end: only then is it in the audit log
    with pytest.raises(Denied, match="for another account"):
        client.token("github", ticket=made.ticket)
    assert client.revoke_ticket("mine").note == "1 ticket has ended"
    with pytest.raises(Denied, match="revoked"):
        client.token(ticket=made.ticket)
    kept = [(record.what, record.ok, record.ticket) for record in client.audit() if record.agent == "builder-7"]
    assert kept[-6:] == [
        ("token", True, made.id),
        ("token", True, ""),
        ("relay", True, made.id),
        ("denied", False, ""),
        ("ticket-end", True, ""),
        ("denied", False, ""),
    ]
    assert client.audit_verify().intact
