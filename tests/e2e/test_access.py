"""Rules over real processes: programs that are told apart by what the kernel says of them, and what they try."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP
from typing import Any
from urllib.parse import urlsplit

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.desk import desk
from peers.machine import Machine, Ran
from peers.ports import free_port
from peers.waiting import until

KEYS = {"anthropic": "sk-ant-api03-made-up-for-this-test-only", "github": "gh-key-made-up-for-this-test-only"}
PYTHON = os.path.realpath(sys.executable)
CONNECT = """
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
"""

ASK = """
peer.sendall(b'{"op":"token","account":"github"}\\n')
print(peer.makefile().readline(), end="", flush=True)
"""

EXEC = r"""
os.dup2(peer.fileno(), 9)
os.execv("/bin/bash", ["bash", "-c", r'''echo '{"op":"token","account":"github"}' >&9; head -n1 <&9'''])
"""

LEND = """
peer.sendall(b'{"op":"hello"}\\n')
peer.makefile().readline()  # the daemon has seen who it is
reading, writing = os.pipe()
if os.fork():
    os._exit(0)
os.close(writing)
os.read(reading, 1)  # returns when the parent, which connected, has ended
"""


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """With two accounts."""
    for name, key in KEYS.items():
        assert isinstance(machine.ask(requests.ApiKey(account=name, key=Secret(key))), replies.Account)
    return machine


def rule(machine: Machine, toml: str) -> None:
    """The config is that from now on: by a signal, which no rule can forbid."""
    before = len(machine.logged("reloaded"))
    machine.configure(toml)
    machine.signal(SIGHUP)
    until(lambda: len(machine.logged("reloaded")) > before, "the config has been read again")


@pytest.fixture
def tool(folder: Path) -> Path:
    """A program that no other is: it runs what it is told."""
    return Path(shutil.copy("/bin/bash", folder / "tool"))


def by_tool(machine: Machine, tool: Path, command: str) -> Ran:
    """A command of ours that the tool runs, and does not become."""
    ran = subprocess.run(
        [tool, "-c", f"{command}; exit $?"],
        env=machine.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Ran(ran.stdout, ran.stderr, ran.returncode)


def by_python(machine: Machine, code: str) -> dict[str, Any]:
    """What a Python program of that code is answered."""
    ran = subprocess.run(
        [PYTHON, "-c", CONNECT + code, str(machine.socket)],
        env=machine.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


ONLY_PYTHON = f"""
[access]
default = []
[[rule]]
who = {{ executable = "{PYTHON}" }}
allow = ["token"]
"""


def test_a_process_that_execs_between_connect_and_request_is_not_what_it_was(ready: Machine) -> None:
    rule(ready, ONLY_PYTHON)
    assert by_python(ready, ASK)["access_token"] == KEYS["github"]
    refused = by_python(ready, EXEC)
    assert (refused["code"], "runs another program now" in refused["message"]) == ("denied", True)


def test_a_connection_that_is_left_to_somebody_else_is_nobodys(ready: Machine) -> None:
    rule(ready, ONLY_PYTHON)
    refused = by_python(ready, LEND + ASK)
    assert (refused["code"], "has ended" in refused["message"]) == ("denied", True)


def test_a_program_gets_what_its_rule_says_and_every_other_what_the_default_says(ready: Machine, tool: Path) -> None:
    """Through `aixtiv`, which asks for whoever runs it."""
    rule(
        ready,
        f"""
        [[rule]]
        who = {{ executable = "{tool}" }}
        accounts = ["github"]
        allow = ["token"]
        [[rule]]
        who = {{ executable = "{tool}" }}
        allow = []
        """,
    )
    assert by_tool(ready, tool, "aixtiv token github").out.strip() == KEYS["github"]
    sentences = {
        "aixtiv token anthropic": "have the token of anthropic",
        "aixtiv accounts": "be told of accounts",
        "aixtiv watch": "be told of accounts",
        "aixtiv ticket new github": "make calls with github",
        "aixtiv ticket list": "manage aixtiv",
        "aixtiv logout github": "manage github",
        "aixtiv logout anthropic": "manage anthropic",
        "aixtiv audit": "manage aixtiv",
        "aixtiv usage": "manage aixtiv",
        "aixtiv lock": "manage aixtiv",
        "aixtiv stop": "manage aixtiv",
        "aixtiv reload": "manage aixtiv",
        "aixtiv key check": "manage aixtiv",
        "aixtiv access explain --pid 1": "manage aixtiv",
    }
    for command, doing in sentences.items():
        refused = by_tool(ready, tool, command)
        assert (refused.out, refused.code) == ("", 1), command
        number = 1 if "github" in command else 2
        by_signal = command in {"aixtiv lock", "aixtiv stop", "aixtiv reload"}  # which no rule can forbid
        assert f"aixtiv: error: rule {number} does not let {tool} {doing}{';' if by_signal else chr(10)}" in refused.err
        assert f"aixtiv: hint: {'kill' if by_signal else 'aixtiv access explain'}" in refused.err, command
        assert "anthropic" not in refused.err or "anthropic" in command, "a name that it may not be told of"
    assert by_tool(ready, tool, "aixtiv status").out.count("anthropic") == 0
    assert [account["name"] for account in ready.run("accounts", "--json").json()["accounts"]] == sorted(KEYS)


def test_who_was_denied_is_in_the_audit_log_with_the_rule_and_the_account(ready: Machine, tool: Path) -> None:
    rule(ready, f'[[rule]]\nwho = {{ executable = "{tool}" }}\naccounts = ["github"]\n')
    by_tool(ready, tool, "aixtiv token github")
    by_tool(ready, tool, "aixtiv refresh never-heard-of")
    lines = [json.loads(line) for line in ready.run("audit", "--json").out.splitlines()]
    (denied,) = [line for line in lines if line["what"] == "denied"]
    assert (denied["account"], denied["program"]) == ("github", str(tool))
    assert denied["detail"] == f"rule 1 does not let {tool} have the token of github"


def test_no_way_shows_the_token_of_a_relay_only_account(ready: Machine) -> None:
    rule(ready, '[access]\nrelay-only = ["anthropic"]\n[[rule]]\nallow = ["list", "token", "relay", "manage"]\n')
    ways = (
        ("token", "anthropic"),
        ("token", "anthropic", "--json"),
        ("token",),
        ("exec", "--token", "SHOWN", "anthropic", "--", "env"),
        ("ticket", "new", "anthropic", "--verb", "token"),
        ("ticket", "new", "anthropic", "--verb", "token", "--verb", "relay", "--lasting"),
    )
    for way in ways:
        ran = ready.run(*way, AIXTIV_ACCOUNT="anthropic")
        assert ran.code == 1, way
        assert "anthropic is relay-only: its token is shown to nobody" in ran.err
        assert KEYS["anthropic"] not in ran.out + ran.err
    assert ready.run("claude-key", "anthropic").out.startswith("aixtiv-ticket-")
    assert ready.run("token", "github").out.strip() == KEYS["github"]


def test_a_ticket_that_was_good_shows_nothing_once_its_account_is_relay_only(ready: Machine) -> None:
    ticket = ready.run("ticket", "new", "anthropic", "--verb", "token", "--lasting").out.strip()
    asked = requests.Token(ticket=Secret(ticket))
    assert isinstance(ready.ask(asked), replies.AccessToken)
    rule(ready, '[access]\nrelay-only = ["*"]\n')
    refused = ready.ask(asked)
    assert isinstance(refused, replies.Failure)
    assert (refused.code, "relay-only" in refused.message) == ("denied", True)


def test_explain_says_of_a_process_what_it_will_be_told(ready: Machine, tool: Path) -> None:
    rule(ready, f'[[rule]]\nwho = {{ executable = "{tool}" }}\nallow = ["list", "relay"]\npaths = ["/v1/messages"]\n')
    by_itself = by_tool(ready, tool, "aixtiv access explain github --json").json()
    assert by_itself["executable"] == str(tool)
    assert by_itself["through"] > 0
    with subprocess.Popen([tool, "-c", "read; exit"], stdin=subprocess.PIPE) as running:
        told = ready.run(
            "access", "explain", "--pid", str(running.pid), "github", "--path", "/v1/models", "--json"
        ).json()
        shown = ready.run("access", "explain", "--pid", str(running.pid), "github").out
    assert (told["pid"], told["executable"], told["through"]) == (running.pid, str(tool), 0)
    decided = {one["account"]: (one["rights"], one["rule"]) for one in told["decisions"]}
    assert decided == {"": (["list"], 1), "github": (["list"], 1)}
    assert {one["account"]: one["rights"] for one in by_itself["decisions"]}["github"] == ["list", "relay"]
    assert f"executable  {tool}" in shown
    assert f"rule 1 is about {tool}; calls only below /v1/messages" in shown
    gone = ready.run("access", "explain", "--pid", str(running.pid))
    assert (gone.code, f"there is no process {running.pid}" in gone.err) == (1, True)


def test_through_the_gateway_too_a_ticket_can_do_what_its_maker_may_now(folder: Path, tool: Path) -> None:
    """Over TCP nobody says who calls: the ticket does."""
    with desk(folder, configured=f"[claude]\nport = {free_port()}\n") as at:
        at.sign_in()
        made = "aixtiv ticket new anthropic --lasting --json"
        mine, its = at.machine.run(*made.split()[1:]).json(), by_tool(at.machine, tool, made).json()
        config = at.machine.config.read_text()
        assert [status(mine), status(its)] == [200, 200]
        rule(at.machine, f'{config}[[rule]]\nwho = {{ executable = "{tool}" }}\n')
        assert [status(mine), status(its)] == [200, 403]
        allowed = f'{config}[[rule]]\nwho = {{ executable = "{tool}" }}\nallow = ["relay"]\npaths = ["/v1/models"]\n'
        rule(at.machine, allowed)
        assert [status(mine), status(its)] == [200, 403]
        rule(at.machine, allowed.replace("/v1/models", "/v1/messages"))
        assert [status(mine), status(its)] == [200, 200]
        reasons = [str(line["reason"]) for line in at.machine.logged("denied")]
        assert reasons == [
            f"rule 1 does not let a ticket made by {tool} make calls with anthropic",
            f"rule 1 lets a ticket made by {tool} call /v1/models alone",
        ]


def status(ticket: dict[str, Any]) -> int:
    """What a call draws that is made with that ticket on the gateway's port."""
    where = urlsplit(ticket["base_url"]).netloc
    body = b'{"model":"m-1","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}'
    headers = {"authorization": f"Bearer {ticket['ticket']}", "anthropic-version": "2023-06-01"}
    with contextlib.closing(http.client.HTTPConnection(where, timeout=30)) as line:
        line.request("POST", "/v1/messages", body, headers | {"content-type": "application/json"})
        return line.getresponse().status
