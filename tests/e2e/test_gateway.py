"""The gateway of a real daemon, opposite Claude's stand-in: each way in, what goes through, and who is kept out."""

import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any, Final

import pytest

from aixtiv_protocol import replies, requests
from peers.claude_api.process import sent
from peers.claude_api.weather import Weather
from peers.desk import ACCOUNT, Desk, desk, shared_desk
from peers.machine import PATIENCE, SCRIPTS, Machine
from peers.ports import free_port
from peers.waiting import until

VERSION: Final = {"anthropic-version": "2023-06-01"}
ASKED: Final = json.dumps(
    {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
).encode()


@pytest.fixture(scope="module")
def at() -> Iterator[Desk]:
    """One desk for the tests that leave it as it was; its fixed port is `port`."""
    with shared_desk(configured=f"[claude]\nport = {free_port()}\n") as at:
        yield at


class Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def status(machine: Machine) -> replies.DaemonStatus:
    said = machine.ask(requests.Status())
    assert isinstance(said, replies.DaemonStatus), said
    return said


@contextlib.contextmanager
def way(at: Desk, which: str) -> Iterator[tuple[http.client.HTTPConnection, dict[str, str]]]:
    """A connection, and the headers that open it."""
    if which == "unix":
        with contextlib.closing(Unix(at.gateway)) as line:
            yield line, VERSION
        return
    with at.machine.conversation() as talk:  # the ephemeral port's ticket lives as long as this process
        talk.say(requests.Ticket(account=ACCOUNT, port=which == "ephemeral"))
        made = talk.hear()
        assert isinstance(made, replies.TicketMade), made
        port = int(made.base_url.rpartition(":")[2]) if which == "ephemeral" else status(at.machine).gateway_port
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as line:
            yield line, VERSION | {"Authorization": f"Bearer {made.ticket.reveal()}"}
        at.machine.ask(requests.RevokeTicket(ticket=made.id))


WAYS: Final = ("unix", "fixed", "ephemeral")


@pytest.mark.parametrize("which", WAYS)
def test_a_call_goes_through_with_the_real_credential_and_over_one_connection(at: Desk, which: str) -> None:
    before = len(at.claude.requests)
    with way(at, which) as (line, headers):
        for _ in range(3):
            line.request("POST", "/v1/messages?beta=true", ASKED, headers)
            answer = line.getresponse()
            document = json.loads(answer.read())
            assert (answer.status, document["content"][0]["text"]) == (200, "You said: hello")
            assert answer.getheader("request-id")
            assert answer.getheader("x-aixtiv-warning") is None
    heard = at.claude.requests[before:]
    assert len(heard) == 3
    for request in heard:
        assert request["target"] == "/v1/messages?beta=true"
        assert sent(request, "authorization") == f"Bearer {at.server.newest}"
        assert "aixtiv-ticket" not in str(request)
        assert request["body"].encode() == ASKED


@pytest.mark.parametrize("which", WAYS)
def test_a_stream_arrives_as_it_is_said(at: Desk, which: str) -> None:
    at.claude.set_weather(Weather(silence=3, deltas=10))
    with way(at, which) as (line, headers):
        line.request("POST", "/v1/messages", ASKED[:-1] + b', "stream": true}', headers)
        answer = line.getresponse()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        first = answer.readline()  # while Claude is silent
        assert first == b"event: message_start\n"
        at.claude.until(silent=1)
        at.claude.release()
        rest = answer.read()
    assert rest.endswith(b'data: {"type": "message_stop"}\n\n')


def test_a_stream_ends_when_its_ticket_expires(at: Desk) -> None:
    at.claude.set_weather(Weather(silence=3, deltas=10))
    port, ticket = status(at.machine).gateway_port, made(at, ttl=1)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as line:
        headers = VERSION | {"x-api-key": ticket.ticket.reveal()}
        line.request("POST", "/v1/messages", ASKED[:-1] + b', "stream": true}', headers)
        answer = line.getresponse()
        assert answer.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    at.claude.until(gone=1)


@pytest.mark.parametrize("which", WAYS)
def test_twenty_megabytes_arrive_as_they_were_sent(at: Desk, which: str) -> None:
    text = "x" * 20_000_000
    body = json.dumps(
        {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    ).encode()
    with way(at, which) as (line, headers):
        line.request("POST", "/v1/messages", body, headers)
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200
    heard = at.claude.requests[-1]
    assert (heard["size"], heard["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("which", WAYS)
def test_a_caller_who_hangs_up_ends_the_call_at_claude(at: Desk, which: str) -> None:
    gone = sum(request["gone"] for request in at.claude.requests)
    asked = len(at.claude.requests)
    at.claude.set_weather(Weather(hang=True))
    with way(at, which) as (line, headers):
        line.request("POST", "/v1/messages", ASKED, headers)
        at.claude.until(requests=asked + 1)
        line.close()
        at.claude.until(gone=gone + 1)


def test_an_answer_that_breaks_off_at_claude_breaks_off_here(at: Desk) -> None:
    at.claude.set_weather(Weather(cut="middle", deltas=100))
    with way(at, "unix") as (line, headers):
        line.request("POST", "/v1/messages", ASKED[:-1] + b', "stream": true}', headers)
        answer = line.getresponse()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_an_early_answer_reaches_a_caller_who_still_sends(at: Desk) -> None:
    """Claude takes no more than 32 MB, and says so at once."""
    with way(at, "fixed") as (line, headers):
        line.request("POST", "/v1/messages", b"x" * 40_000_000, headers)
        answer = line.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["type"]) == (413, "request_too_large")


def test_who_is_turned_away_is_in_the_audit_log_and_no_secret_is(at: Desk) -> None:
    port = status(at.machine).gateway_port
    before = len(denials(at))
    wrong = "aixtiv-ticket-" + "A" * 43
    for headers, expected in [
        ({}, 401),
        ({"Authorization": f"Bearer {wrong}"}, 401),
        ({"Authorization": f"Bearer {wrong}", "Origin": "https://evil.example"}, 403),
        ({"Authorization": f"Bearer {wrong}", "Host": f"evil.example:{port}"}, 403),
    ]:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        line.request("GET", "/v1/models", headers=VERSION | headers)
        answer = line.getresponse()
        assert answer.status == expected
        assert json.loads(answer.read())["type"] == "error"
        line.close()
    told = denials(at)[before:]
    assert len(told) == 4
    assert wrong not in json.dumps(told)
    assert wrong not in at.machine.log


def denials(at: Desk) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in at.machine.run("audit", "--json", "--limit", "0").out.splitlines()]
    return [record for record in records if record["what"] == "denied"]


def test_a_ticket_that_is_over_or_anothers_opens_nothing_and_is_in_the_audit_log(at: Desk) -> None:
    port = status(at.machine).gateway_port
    over, revoked, anothers = (made(at, ttl=1), made(at), made(at))
    until(lambda: over.id not in {shown.id for shown in tickets(at)}, "the ticket has expired")
    at.machine.ask(requests.RevokeTicket(ticket=revoked.id))
    before = len(denials(at))
    for ticket, more, expected, why in [
        (over, {}, 401, "it has expired"),
        (revoked, {}, 401, "it was revoked"),
        (anothers, {"x-aixtiv-account": "github"}, 403, "another account"),
    ]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as line:
            line.request("GET", "/v1/models", headers=VERSION | {"x-api-key": ticket.ticket.reveal()} | more)
            answer = line.getresponse()
            assert answer.status == expected
            assert why in json.loads(answer.read())["error"]["message"]
        assert why in denials(at)[-1]["detail"]
    assert len(denials(at)) == before + 3
    at.machine.ask(requests.RevokeTicket(ticket=anothers.id))


def made(at: Desk, ttl: int = 0) -> replies.TicketMade:
    answer = at.machine.ask(requests.Ticket(account=ACCOUNT, holder="none", ttl=ttl))
    assert isinstance(answer, replies.TicketMade), answer
    return answer


def tickets(at: Desk) -> tuple[replies.TicketShown, ...]:
    answer = at.machine.ask(requests.Tickets())
    assert isinstance(answer, replies.TicketList), answer
    return answer.tickets


def test_a_signed_out_account_is_a_sentence_with_the_command(folder: Path) -> None:
    with desk(folder) as lonely, contextlib.closing(Unix(lonely.gateway)) as line:
        line.request("GET", "/v1/models", headers=VERSION)
        answer = line.getresponse()
        told = json.loads(answer.read())["error"]
        assert (answer.status, told["type"]) == (403, "permission_error")
        assert "; run: aixtiv " in told["message"]


def test_a_squatter_on_the_port_is_in_the_status_and_the_daemon_serves(folder: Path) -> None:
    with socket.socket() as squatter, Machine(folder) as machine:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        machine.configure(f"[claude]\nport = {port}")
        machine.start()
        said = status(machine)
        assert said.gateway.endswith("/claude.sock")
        assert said.gateway_port == 0
        assert f"port {port} on 127.0.0.1 cannot be opened" in said.gateway_problem
        squatter.close()
        assert isinstance(machine.ask(requests.Reload()), replies.Done)
        assert (status(machine).gateway_port, status(machine).gateway_problem) == (port, "")
        assert machine.stop() == 0


def test_a_stream_that_is_open_when_the_daemon_stops_comes_to_its_end(folder: Path) -> None:
    with desk(folder) as at:
        at.sign_in()
        at.claude.set_weather(Weather(silence=3, deltas=5))
        with contextlib.closing(Unix(at.gateway)) as line:
            line.request("POST", "/v1/messages", ASKED[:-1] + b', "stream": true}', VERSION)
            answer = line.getresponse()
            answer.readline()
            at.claude.until(silent=1)
            at.machine.signal(SIGTERM)
            until(lambda: not Path(at.gateway).exists(), "the socket is given up")
            with socket.socket(socket.AF_UNIX) as late, pytest.raises(FileNotFoundError):
                late.connect(at.gateway)
            at.claude.release()
            assert answer.read().endswith(b'data: {"type": "message_stop"}\n\n')
        assert at.machine.ended() == 0


def test_the_service_managers_sockets_are_served_and_left(folder: Path) -> None:
    """A caller of the fixed port starts the daemon, as `aixtiv setup` has it."""
    with Machine(folder) as machine:
        machine.socket.parent.mkdir(mode=0o700)
        claude, port = machine.socket.with_name("claude.sock"), free_port()
        machine.configure(f"[claude]\nport = {port}")
        with machine.log_file.open("ab") as log:
            machine.daemon = subprocess.Popen(
                [
                    "systemd-socket-activate",
                    *(f"--listen={where}" for where in (machine.socket, claude, f"127.0.0.1:{port}")),
                    "--fdname=aixtiv:claude:claude",
                    *(f"--setenv={name}={value}" for name, value in machine.environ.items()),
                    SCRIPTS / "aixtivd",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(claude.exists, "it listens")
        for path in (machine.socket, claude):
            path.chmod(0o600)  # a socket unit has SocketMode=; this has nothing like it
        until(lambda: answers(port), "the port answers")
        said = status(machine)
        assert (said.gateway, said.gateway_port, said.gateway_problem) == (str(claude), port, "")
        line = Unix(str(claude))
        line.request("GET", "/v1/models", headers=VERSION)
        assert line.getresponse().status == 403  # nobody is signed in
        line.close()
        assert machine.stop() == 0
        assert claude.exists(), "the service manager's socket is not ours to remove"


def answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        line.request("GET", "/v1/models", headers=VERSION)
        return line.getresponse().status == 401
    except ConnectionRefusedError:
        return False
    finally:
        line.close()


def test_the_first_call_loads_the_server_without_holding_up_tokens(folder: Path) -> None:
    """aiohttp takes a third of a second to load; a token that is in memory is served meanwhile."""
    with desk(folder) as at:
        at.sign_in()
        with contextlib.closing(Unix(at.gateway)) as line, at.machine.conversation() as talk:
            line.request("GET", "/v1/models", headers=VERSION)
            slowest = 0.0
            for _ in range(200):
                began = time.monotonic()
                talk.say(requests.Token(account=ACCOUNT))
                assert isinstance(talk.hear(), replies.AccessToken)
                slowest = max(slowest, time.monotonic() - began)
            assert line.getresponse().status == 200
    assert slowest < 0.25, slowest


def test_two_thousand_calls_leave_memory_flat_and_no_descriptor_open(at: Desk) -> None:
    for _ in range(5):
        burst(at, 100)
    before = resident(at.machine.pid), descriptors(at.machine.pid)
    for _ in range(20):
        burst(at, 100)
    grown = resident(at.machine.pid) - before[0]
    assert descriptors(at.machine.pid) <= before[1] + 2
    assert grown < 4_000_000, grown


def burst(at: Desk, calls: int) -> None:
    with way(at, "unix") as (line, headers):
        for _ in range(calls):
            line.request("POST", "/v1/messages", ASKED, headers)
            answer = line.getresponse()
            answer.read()
            assert answer.status == 200


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
