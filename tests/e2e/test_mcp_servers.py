"""Remote MCP servers in the config and in the tools that start the bridge: written, listed, and taken out again."""

import json

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from peers.machine import Machine
from peers.setups import AIXTIV, home
from peers.terminal import Terminal

URL = "https://mcp.house.example/mcp"


def test_a_server_is_written_listed_and_taken_out_and_the_rest_of_the_file_stays(machine: Machine) -> None:
    machine.configure('# mine\nlog = "info"\n')
    before = machine.config.read_bytes()
    added = machine.run("mcp", "add", "house", URL, "--client-id", "abc", "--scope", "mcp read")
    assert added.code == 0, added.err
    assert "aixtiv: hint: aixtiv setup claude-desktop --mcp house" in added.err
    assert machine.config.read_text() == (
        f'# mine\nlog = "info"\n\n[mcp.house]\nurl = "{URL}"\nclient-id = "abc"\nscopes = ["mcp", "read"]\n'
    )
    assert machine.run("mcp", "list").out == f"house  {URL}  house: not signed in\n"
    (shown,) = machine.run("mcp", "list", "--json").json()["servers"]
    assert (shown["url"], shown["account"], shown["state"], shown["old"]) == (URL, "house", "", False)
    again = machine.run("mcp", "add", "house", URL)
    assert (again.code, "there is a server house already" in again.err) == (64, True)
    assert machine.run("mcp", "remove", "house").code == 0
    assert machine.config.read_bytes() == before
    assert machine.run("mcp", "remove", "house").code == 64


def test_what_the_daemon_refuses_is_not_written(machine: Machine) -> None:
    machine.configure("# mine\n")
    refused = machine.run("mcp", "add", "house", URL, "--client-id-metadata", "http://house.example/client.json")
    assert refused.code == 1
    assert "mcp.house.client-id-metadata: expected https://host/path" in refused.err
    assert machine.config.read_text() == "# mine\n"
    assert machine.run("config", "check").code == 0


def test_a_name_or_an_address_that_cannot_be_is_refused_and_no_password_repeated(machine: Machine) -> None:
    for name, url in (
        ("list", URL),
        ("a b", URL),
        ("house", "http://h.example/mcp"),
        ("house", "https://ada:pw@h/mcp"),
    ):
        refused = machine.run("mcp", "add", name, url)
        assert refused.code == 64
        assert "pw" not in refused.err
    assert not machine.config.exists()


def test_the_older_commands_file_has_servers_too_which_the_config_comes_before(machine: Machine) -> None:
    old = machine.config.with_name("claude.desktop.config.json")
    machine.configure("")
    old.write_text(json.dumps({"servers": {"ctt-mcp": {"url": URL, "region": "us-west1"}, "no-url": {}}}))
    assert "ctt-mcp" in machine.run("mcp", "list").out
    removed = machine.run("mcp", "remove", "ctt-mcp")
    assert (removed.code, "which is the older command's" in removed.err) == (64, True)
    assert machine.run("mcp", "add", "ctt-mcp", "https://newer.house.example/mcp").code == 0
    shown, wrong = machine.run("mcp", "list", "--json").json()["servers"]
    assert (wrong["name"], "expected the server's address" in wrong["wrong"]) == ("no-url", True)
    assert (shown["url"], shown["old"]) == ("https://newer.house.example/mcp", False)


@pytest.mark.parametrize(
    ("tool", "path"),
    [("claude-desktop", ".config/Claude/claude_desktop_config.json"), ("claude-code", ".claude.json")],
)
def test_a_tool_is_given_the_server_and_loses_it_to_the_byte(machine: Machine, tool: str, path: str) -> None:
    machine.run("mcp", "add", "house", URL)
    file = machine.home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{\n  "mcpServers": {"theirs": {"command": "x"}},\n  "numbers": 1.0\n}\n')
    before = home(machine)
    done = machine.run("setup", tool, "--mcp", "house", "--yes")
    assert done.code == 0, done.err
    tree = json.loads(file.read_text())
    assert tree["mcpServers"] == {
        "theirs": {"command": "x"},
        "house": {"type": "stdio", "command": AIXTIV, "args": ["mcp", "house"]},
    }
    assert "has the server house already" in machine.run("setup", tool, "--mcp", "house", "--yes").err
    assert machine.run("setup", tool, "--mcp", "house", "--undo", "--yes").code == 0
    assert home(machine) == before
    assert "nothing was changed" in machine.run("setup", tool, "--mcp", "house", "--undo", "--yes").err


def test_nobody_is_asked_where_nobody_can_be_and_an_unknown_server_is_given_to_none(machine: Machine) -> None:
    machine.run("mcp", "add", "house", URL)
    silent = machine.run("setup", "claude-code", "--mcp", "house")
    assert (silent.code, "aixtiv setup claude-code --mcp house --yes" in silent.err) == (64, True)
    unknown = machine.run("setup", "claude-desktop", "--mcp", "hose", "--yes")
    assert (unknown.code, "no MCP server is called 'hose'" in unknown.err) == (64, True)
    assert not (machine.home / ".claude.json").exists()
    assert machine.run("setup", "claude-code", "--mcp", "house", "--port", "9", "--yes").code == 64


def test_a_token_that_is_for_another_place_is_not_sent_to_the_server(machine: Machine) -> None:
    machine.ask(requests.ApiKey(account="other", key=Secret("made-up"), endpoint="https://api.other.example"))
    machine.run("mcp", "add", "house", "http://127.0.0.1:9/mcp", "--account", "other")
    ran = machine.run("mcp", "house", stdin='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n')
    (answer,) = map(json.loads, ran.out.splitlines())
    assert "other is for https://api.other.example and nowhere else" in answer["error"]["message"]


def test_it_speaks_to_no_terminal(machine: Machine) -> None:
    with Terminal([AIXTIV, "mcp", URL], machine.environ, machine.home) as terminal:
        assert "is for an MCP client to start" in terminal.until("aixtiv mcp list")
