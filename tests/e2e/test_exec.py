"""`aixtiv exec` and `claude-key`: a command that calls Claude with a ticket, and is in every other way itself."""

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from aixtiv_protocol import replies, requests
from peers.claude_api.process import sent
from peers.desk import Desk, shared_desk
from peers.setups import AIXTIV

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def at() -> Iterator[Desk]:
    """One for all: each test leaves it as it was, but for tickets that live an hour."""
    with shared_desk() as at:
        yield at


def holders(at: Desk) -> set[int]:
    listed = at.machine.ask(requests.Tickets())
    assert isinstance(listed, replies.TicketList)
    return {shown.holder for shown in listed.tickets}


def show(at: Desk, *words: str, **environ: str) -> Any:
    return at.machine.run("exec", *words, "--", sys.executable, "-c", SHOW, **environ).json()


def call(base_url: str, ticket: str) -> Any:
    request = urllib.request.Request(
        f"{base_url}/v1/models", headers={"Authorization": f"Bearer {ticket}", "anthropic-version": "2023-06-01"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_command_calls_claude_with_a_ticket_and_the_real_token_arrives(at: Desk) -> None:
    script = (
        "import os, urllib.request as u;"
        "r = u.Request(os.environ['ANTHROPIC_BASE_URL'] + '/v1/models',"
        " headers={'x-api-key': os.environ['ANTHROPIC_AUTH_TOKEN'], 'anthropic-version': '2023-06-01'});"
        "print(u.urlopen(r).read().decode())"
    )
    ran = at.machine.run("exec", "--", sys.executable, "-c", script)
    assert ran.err == ""
    assert "data" in ran.json()
    assert sent(at.claude.requests[-1], "authorization") == f"Bearer {at.server.newest}"


def test_the_environment_has_a_ticket_and_no_secret(at: Desk) -> None:
    shown = show(at, "--agent", "a7", ANTHROPIC_API_KEY="sk-ant-api03-x", HTTPS_PROXY="http://p:1", MINE="kept")
    assert shown["ANTHROPIC_BASE_URL"] == shown["AIXTIV_BASE_URL"]
    assert shown["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert shown["ANTHROPIC_AUTH_TOKEN"] == shown["AIXTIV_TICKET"]
    assert shown["AIXTIV_TICKET"].startswith("aixtiv-ticket-")
    assert (shown["MINE"], shown["AIXTIV_AGENT_ID"]) == ("kept", "a7")
    assert "127.0.0.1" in shown["NO_PROXY"]
    assert "ANTHROPIC_API_KEY" not in shown
    assert at.server.newest not in json.dumps(shown)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's /proc")
def test_the_command_gets_no_descriptor_of_ours(at: Desk) -> None:
    """The conversation with the daemon is not its to go on with: what it may do is what its ticket says."""
    script = (
        "import os; print(*sorted(fd for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')))"
    )
    assert at.machine.run("exec", "--", sys.executable, "-c", script).out == "0 1 2\n"


def test_the_port_and_the_ticket_die_with_the_command(at: Desk) -> None:
    script = (
        "import os, sys;"
        "print(os.environ['ANTHROPIC_BASE_URL'], os.environ['AIXTIV_TICKET'], flush=True);"
        "sys.stdin.read()"
    )
    with at.machine.running("exec", "--", sys.executable, "-c", script) as process:
        assert process.stdout
        base_url, ticket = process.stdout.readline().split()
        assert "data" in call(base_url, ticket)
        assert process.pid in holders(at)
        process.communicate("")
    while process.pid in holders(at):
        pass  # nothing announces a ticket's end; each question is answered when the daemon has read what came before
    with pytest.raises(urllib.error.URLError):
        call(base_url, ticket)


def test_pid_signals_and_exit_status_are_the_commands(at: Desk) -> None:
    assert at.machine.run("exec", "--", "sh", "-c", "exit 42").code == 42
    with at.machine.running("exec", "--", "sh", "-c", "echo $$; exec sleep 60") as process:
        assert process.stdout
        assert process.stdout.readline() == f"{process.pid}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


def test_a_broken_pipe_ends_the_command_as_it_would_without_us(at: Desk) -> None:
    """Python ignores SIGPIPE, and what is ignored stays so over exec."""
    ran = at.machine.run("exec", "--", "sh", "-c", "yes | head -n 1")
    assert (ran.out, ran.err, ran.code) == ("y\n", "", 0)
    status = at.machine.run("exec", "--", "grep", "SigIgn", "/proc/self/status").out.split()[1]
    assert int(status, 16) & (1 << (signal.SIGPIPE - 1)) == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--", "no-such-command"), 127, "there is no command no-such-command"),
        (("--", "/etc/passwd"), 126, "/etc/passwd cannot be run: Permission denied"),
        (("--",), 64, "the command stands behind --"),
        (("claude",), 64, "hint: aixtiv exec -- claude\n"),
        (("anthropic/work", "env", "-0"), 64, "hint: aixtiv exec anthropic/work -- env -0\n"),
        (("sh", "a file"), 64, "hint: aixtiv exec -- sh 'a file'\n"),
        (("--ttl", "soon", "--", "true"), 64, "expected a time like 90s, 15m, 1h or 7d"),
        (("--token", "A B", "--", "true"), 64, "takes the name of a variable"),
        (("nobody", "--", "true"), 1, "hint: aixtiv login nobody\n"),
        (("anthropic/of-a-colleague", "--", "true"), 1, "hint: aixtiv api-key set anthropic/of-a-colleague\n"),
        (("anthropicc", "--", "true"), 1, "hint: aixtiv accounts\n"),
    ],
)
def test_what_cannot_be_is_a_sentence(at: Desk, words: tuple[str, ...], code: int, sentence: str) -> None:
    ran = at.machine.run("exec", *words)
    assert (ran.out, ran.code) == ("", code)
    assert sentence in ran.err
    assert ran.err.startswith("aixtiv: error: ")


def test_the_ticket_ends_after_the_time_that_is_asked_for(at: Desk) -> None:
    ran = at.machine.run("exec", "--ttl", "15m", "--", AIXTIV, "ticket", "list", "--json")
    held = ran.json()["tickets"][-1]
    assert held["expires_at"] - held["made_at"] == 15 * 60


def test_the_real_token_where_it_is_asked_for_and_no_ticket(at: Desk) -> None:
    shown = show(at, "anthropic", "--token", "MY_TOKEN", ANTHROPIC_API_KEY="sk-mine")
    assert shown["MY_TOKEN"] == at.server.newest
    assert shown["ANTHROPIC_API_KEY"] == "sk-mine"
    assert "AIXTIV_TICKET" not in shown


def test_options_behind_the_dashes_are_the_commands(at: Desk) -> None:
    assert at.machine.run("exec", "anthropic", "--", "echo", "--help", "--", "--token").out == "--help -- --token\n"


def test_a_claude_key_is_a_ticket_for_the_gateway(at: Desk) -> None:
    ran = at.machine.run("claude-key")
    assert (ran.err, ran.code) == ("", 0)
    assert ran.out.startswith("aixtiv-ticket-")
    listed = at.machine.ask(requests.Tickets())
    assert isinstance(listed, replies.TicketList)
    assert ("claude-key", 0) in [(shown.name, shown.holder) for shown in listed.tickets]
