"""A daemon that becomes another one while answers stream through it: they come to their end, and nobody else waits."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Final

import pytest

from aixtiv.client import Client
from aixtiv.failures import AixtivError
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.claude_api.process import RunningClaude, claude_process
from peers.claude_api.weather import Weather
from peers.machine import PATIENCE, Machine
from peers.waiting import until

KEY: Final = "at-a-key"
DELTAS: Final = 20
SILENT: Final = Weather(deltas=DELTAS, silence=DELTAS // 2)
BODY: Final = json.dumps(
    {"model": "claude-sonnet-4-6", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "count"}]}
)
GRACE: Final = 10.0  # seconds, after which the library gives a daemon up that says nothing


@pytest.fixture
def claude() -> Iterator[RunningClaude]:
    with claude_process("--accept-prefix", "at-") as claude:
        yield claude


@pytest.fixture
def machine(folder: Path, claude: RunningClaude) -> Iterator[Machine]:
    with Machine(folder) as machine:
        machine.configure(f'[api.anthropic]\norigin = "{claude.url}"\n')
        machine.start()
        assert isinstance(machine.ask(requests.ApiKey(account="anthropic", key=Secret(KEY))), replies.Account)
        yield machine


@contextmanager
def gateway(machine: Machine) -> Iterator[http.client.HTTPConnection]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(str(machine.socket.with_name("claude.sock")))
        caller = http.client.HTTPConnection("localhost")
        caller.sock = peer
        yield caller


def streamed(machine: Machine) -> str:
    """Through the gateway, to its end."""
    with gateway(machine) as caller:
        caller.request("POST", "/v1/messages", BODY, {"anthropic-version": "2023-06-01"})
        return caller.getresponse().read().decode()


def relayed(machine: Machine) -> str:
    """Through the control socket, by the library."""
    headers = (("anthropic-version", "2023-06-01"), ("content-type", "application/json"))
    with (
        Client(str(machine.socket)) as client,
        client.relay("/v1/messages", method="POST", account="anthropic", headers=headers, body=BODY.encode()) as answer,
    ):
        return answer.read().decode()


@contextmanager
def streaming(machine: Machine, claude: RunningClaude) -> Iterator[list[Future[str]]]:
    """Two answers that have stopped in the middle, one on each way."""
    claude.set_weather(SILENT, SILENT)
    with ThreadPoolExecutor() as pool:
        streams = [pool.submit(way, machine) for way in (streamed, relayed)]
        try:
            claude.until(silent=2)
            yield streams
        finally:
            claude.release()


def test_streams_come_to_their_end_while_everybody_is_answered_by_the_one_that_runs(
    machine: Machine, claude: RunningClaude
) -> None:
    with streaming(machine, claude) as streams, machine.running("service", "restart") as command:
        assert command.stderr
        assert command.stderr.readline() == (
            f"aixtiv: restarting as aixtivd {VERSION} when the 2 relayed calls that are open have ended,"
            " or after 32 seconds\n"
        )
        assert machine.token("anthropic").access_token.reveal() == KEY
        with gateway(machine) as caller:
            caller.request("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
            assert caller.getresponse().status == 200
        again = machine.ask(requests.Restart())
        assert isinstance(again, replies.Failure)
        assert (again.code, again.message) == ("busy", "the daemon is restarting already")
        assert len(machine.logged("ready")) == 1
        claude.release()
        for stream in streams:
            assert stream.result(PATIENCE).rstrip().endswith('{"type": "message_stop"}')
        out, err = command.communicate(timeout=PATIENCE)
        assert (command.returncode, out, err) == (0, f"aixtivd {VERSION} answers (pid {machine.pid})\n", "")
    assert len(machine.logged("ready")) == 2
    assert machine.logged("stopped-early") == machine.logged("defect") == []
    assert machine.stop() == 0


def test_streams_that_do_not_end_are_cut_and_nobody_waits_for_them(machine: Machine, claude: RunningClaude) -> None:
    with machine.config.open("a") as config:
        config.write("[refresh]\ntimeout = 1\n")  # and so three seconds for a stream
    machine.ask(requests.Reload())
    with streaming(machine, claude) as streams:
        machine.ask(requests.Restart())
        longest = 0.0
        while len(machine.logged("ready")) == 1:
            asked = time.monotonic()
            assert machine.token("anthropic").access_token.reveal() == KEY
            longest = max(longest, time.monotonic() - asked)
        assert longest < GRACE
        by_gateway, by_library = streams
        with pytest.raises(http.client.IncompleteRead):
            by_gateway.result(PATIENCE)
        with pytest.raises(AixtivError) as cut:
            by_library.result(PATIENCE)
        assert cut.value.sentence == "the daemon had to end before this answer did"
    assert machine.logged("defect") == machine.logged("unhandled") == []


def test_asked_to_end_meanwhile_it_lets_in_nobody_more_and_ends(machine: Machine, claude: RunningClaude) -> None:
    with streaming(machine, claude) as streams:
        machine.ask(requests.Restart())
        machine.signal(SIGTERM)
        until(lambda: not machine.socket.exists(), "nobody is let in")
        claude.release()
        for stream in streams:
            assert "message_stop" in stream.result(PATIENCE)
    assert machine.ended() == 0
    assert len(machine.logged("ready")) == 1
