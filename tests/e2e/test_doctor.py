"""`aixtiv doctor` on a real machine: faults are planted one by one, and each is found by its name."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import time

import pytest

from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.desk import KEY, Desk, desk
from peers.diagnosed import FILE_KEY, found, old_file, older_daemon, wrong
from peers.machine import SCRIPTS, Machine
from peers.ports import free_port
from peers.setups import setup
from peers.terminal import Terminal


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    """Somebody is signed in for Claude, and a browser is there."""
    with desk(folder, configured=FILE_KEY) as at:
        at.machine.environ["BROWSER"] = at.machine.browser()
        at.sign_in()
        yield at


# ---- what tools were handed


def test_a_ticket_that_was_revoked_is_found_where_it_stands(at: Desk) -> None:
    setup(at, "sdk-profile")
    lines = setup(at, "env", SHELL="/bin/sh").out.splitlines()
    shell = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    assert "ticket" not in wrong(at.machine, **shell)
    assert at.machine.run("ticket", "revoke", "setup env").code == 0
    told = wrong(at.machine, **shell)["ticket"]
    assert (told["hint"], "it was revoked" in told["sentence"]) == ('eval "$(aixtiv setup env --yes)"', True)
    assert at.machine.run("ticket", "revoke", "setup sdk-profile").code == 0
    assert wrong(at.machine)["ticket"]["hint"] == "aixtiv setup sdk-profile"


def test_a_log_that_was_altered_or_taken_away_is_found_until_another_is_begun(at: Desk) -> None:
    log = at.machine.state / "audit.log"
    assert at.machine.run("audit", "verify").code == 0
    log.write_bytes(log.read_bytes().replace(b'"what":"sign-in"', b'"what":"sign-out"', 1))
    told = wrong(at.machine)["audit"]
    assert "or the one before it, was altered" in told["sentence"]
    log.unlink()
    told = wrong(at.machine)["audit"]
    assert told["hint"] == "aixtiv audit new"
    assert at.machine.run("audit", "new").code == 0
    assert found(at.machine)["audit"]["verdict"] == "fine"


# ---- all is well


def test_on_a_healthy_machine_everything_is_fine(at: Desk) -> None:
    """With everything there that can be looked at, so that nothing has to be passed over."""
    setup(at, "claude-code")
    setup(at, "sdk-profile")
    old_file(at.machine, endpoint=f"{at.claude.url}/v1/messages", version="2023-06-01")
    shell = {
        "CLAUDE_OAUTH_CLIENT_ID": "old",
        "CLAUDE_OAUTH_REDIRECT_URI": f"http://localhost:{free_port()}/oauth/callback",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }
    told = found(at.machine, **shell)
    del told["service"]  # which this machine may have no manager for: tests/client/test_service.py
    assert {name: one for name, one in told.items() if one["verdict"] != "fine"} == {}
    assert at.claude.requests[-1]["target"].startswith("/v1/models")
    relayed = at.machine.run("audit", "--json").out.splitlines()
    ends = [record for record in map(json.loads, relayed) if record["what"] == "relay" and record["status"] == 200]
    assert len(ends) >= 2, "its own call, and the one with the ticket"
    assert all(record["ok"] for record in ends), "an answer is read to its end"


def test_a_person_sees_a_line_for_each_and_what_to_type(at: Desk) -> None:
    at.machine.socket.chmod(0o666)
    ran = at.machine.run("doctor")
    lines = ran.out.splitlines()
    assert f"✗ socket          {at.machine.socket} is open to others (mode 0666)" in lines
    assert f"                  hint: chmod 600 {at.machine.socket}" in lines
    assert any(line.startswith("✓ browser         ") for line in lines)
    assert "things are wrong\naixtiv: hint: aixtiv doctor --fix\n" in ran.err
    assert ran.code == 1


def test_on_a_terminal_no_command_is_broken_and_colours_show_what_is_wrong(at: Desk) -> None:
    shell = at.machine.environ | {"HTTP_PROXY": "http://127.0.0.1:9"}
    with Terminal([f"{SCRIPTS}/aixtiv", "doctor"], shell, at.machine.home) as terminal:
        assert terminal.ended() == 1
    assert 'hint: export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"\n' in terminal.shown
    assert "\x1b[31m✗\x1b[0m no-proxy" in terminal.shown


def test_a_locale_without_the_signs_has_letters(at: Desk) -> None:
    ran = at.machine.run("doctor", "--no-start", BROWSER="/no/such/browser", PYTHONIOENCODING="ascii")
    assert {line[0] for line in ran.out.splitlines()} == {"+", "!", "-", " "}


def test_no_secret_is_shown_whatever_is_wrong(at: Desk) -> None:
    token = "sk-ant-oat01-" + "x" * 40
    old_file(at.machine, headers={"anthropic-api-key": KEY}, version="2020-01-01")
    shell = {"ANTHROPIC_API_KEY": token, "ANTHROPIC_AUTH_TOKEN": f'"{KEY}"', "DR_CLAUDE_API": KEY}
    for words in ((), ("--json",)):
        ran = at.machine.run("doctor", *words, **shell)
        assert ran.code == 1
        for secret in (token, KEY, *at.server.issued):
            assert secret not in ran.out + ran.err


# ---- planted faults, each by its name


def test_an_older_daemon(at: Desk) -> None:
    with older_daemon(at.machine):
        told = wrong(at.machine)
    assert told["version"]["sentence"] == f"the daemon is 0.0.1 and this command {VERSION}"
    assert told["version"]["hint"] == "aixtiv service restart"


def test_the_older_command_on_the_path(at: Desk, folder: Path) -> None:
    npm = folder / "npm"
    npm.mkdir()
    (npm / "aixtiv").write_text("#!/usr/bin/env node\nconsole.log('old')\n")
    (npm / "aixtiv").chmod(0o755)
    told = wrong(at.machine, PATH=f"{npm}:{at.machine.environ['PATH']}")
    assert list(told) == ["command"]
    assert (
        f"{npm}/aixtiv: the older command, for Node, wins over this one at {SCRIPTS}/aixtiv"
        in told["command"]["sentence"]
    )


def test_a_socket_that_is_open_to_others(at: Desk) -> None:
    at.machine.socket.chmod(0o666)
    assert "socket" in wrong(at.machine)


def test_a_store_that_is_open_to_others_and_the_daemon_that_does_not_start_for_it(at: Desk) -> None:
    at.machine.stop()
    at.machine.state.chmod(0o755)
    told = wrong(at.machine, AIXTIV_NO_START="0")
    assert "is open to others (mode 0755)" in told["store"]["sentence"]
    assert "the daemon does not start: " in told["daemon"]["sentence"]
    assert told["store"]["hint"] == told["daemon"]["hint"] == f"chmod 700 {at.machine.state}"


def test_a_gateway_port_that_somebody_has(folder: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        with desk(folder, configured=f"{FILE_KEY}[claude]\nport = {port}\n") as at:
            told = wrong(at.machine)
    assert str(port) in told["gateway"]["sentence"]
    assert told["gateway"]["hint"] == f"ss -ltnp 'sport = :{port}'"


def test_a_key_source_that_has_gone(at: Desk) -> None:
    (at.machine.state / "key").unlink()
    assert "key-source" in wrong(at.machine)


def test_a_squatted_redirect_port(at: Desk) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        redirect = f"http://localhost:{port}/oauth/callback"
        told = wrong(at.machine, CLAUDE_OAUTH_CLIENT_ID="old", CLAUDE_OAUTH_REDIRECT_URI=redirect)
    assert list(told) == ["redirect-port"]
    assert f"(pid {os.getpid()}) has port {port}" in told["redirect-port"]["sentence"]


def test_a_browser_that_is_not_there(at: Desk) -> None:
    assert list(wrong(at.machine, BROWSER="/no/such/browser")) == ["browser"]


class Skewed(BaseHTTPRequestHandler):
    """A token endpoint an hour ahead of everybody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(200, b'{"access_token": "made-up", "token_type": "Bearer", "expires_in": 3600}')

    def do_GET(self) -> None:
        self._say(405, b"{}")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(time() + 3600, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_clock_that_is_wrong(at: Desk) -> None:
    with HTTPServer(("127.0.0.1", 0), Skewed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            settings = requests.ClientSettings(
                client_id="x", client_secret=Secret("y"), token_endpoint=f"http://127.0.0.1:{server.server_port}/token"
            )
            asked = requests.Login(account="skewed", settings=settings, source=requests.ClientCredentials())
            assert isinstance(at.machine.ask(asked), replies.SignedIn)
            told = wrong(at.machine, "skewed")
        finally:
            server.shutdown()
            thread.join()
    assert list(told) == ["clock"]
    assert "seconds ahead of this machine's" in told["clock"]["sentence"]


def test_an_issuer_that_is_down(folder: Path) -> None:
    with Machine(folder) as machine:
        with desk_that_loses_its_issuer(machine, folder):
            machine.start()
            told = wrong(machine)
        assert "issuer" in told


@contextmanager
def desk_that_loses_its_issuer(machine: Machine, folder: Path) -> Iterator[None]:
    """Somebody signed in, and the authorization server has ended since."""
    inner = folder / "d"
    inner.mkdir(mode=0o700)
    with desk(inner, configured=FILE_KEY) as at:
        at.sign_in()
        at.machine.stop()
        for name in ("home", "run"):
            (folder / name).rmdir()
            (inner / name).rename(folder / name)
    yield


def test_a_sign_in_that_is_over(at: Desk) -> None:
    at.server.tell(end=True)
    assert at.machine.run("refresh", "anthropic").code == 3
    told = wrong(at.machine)
    assert told["token"]["hint"] == "aixtiv login anthropic"
    assert told["token"]["account"] == "anthropic"


@pytest.mark.parametrize("path", ["/v1/complete", "/messages"])
def test_a_wrong_path(at: Desk, path: str) -> None:
    told = wrong(at.machine, CLAUDE_API_ENDPOINT=at.claude.url + path)
    assert list(told) == ["claude-path"]
    assert f"{at.claude.url}{path} is the wrong path" in told["claude-path"]["sentence"]
    assert f"{at.claude.url}/v1/messages is right, and answers" in told["claude-path"]["sentence"]
    assert told["claude-path"]["hint"] == f"export CLAUDE_API_ENDPOINT={at.claude.url}/v1/messages"


def test_a_header_that_does_not_exist(at: Desk) -> None:
    told = wrong(at.machine, ANTHROPIC_CUSTOM_HEADERS="anthropic-api-key: x", CLAUDE_API_ENDPOINT=at.claude.url)
    assert list(told) == ["claude-header"]
    assert "401 x-api-key header is required" in told["claude-header"]["sentence"]


def test_a_wrong_version(at: Desk) -> None:
    old_file(at.machine, version="2020-01-01")
    told = wrong(at.machine)
    assert list(told) == ["claude-version"]
    assert '"2020-01-01" is not a valid version' in told["claude-version"]["sentence"]
    assert "2023-06-01 is right" in told["claude-version"]["sentence"]


@pytest.mark.parametrize(
    ("name", "shell"),
    [
        ("key-kind", {"ANTHROPIC_API_KEY": "sk-ant-oat01-made-up"}),
        ("shadowing", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": "sk-ant-oat01-made-up"}),
        ("base-url", {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}),
        ("no-proxy", {"HTTPS_PROXY": "http://127.0.0.1:9"}),
        ("claude-api", {"CLAUDE_API_ENDPOINT": "http://127.0.0.1:9/v1/messages"}),
    ],
)
def test_a_shell_that_says_something_wrong(at: Desk, name: str, shell: dict[str, str]) -> None:
    assert name in wrong(at.machine, **shell)


def test_a_proxy_that_does_not_answer(folder: Path) -> None:
    with desk(folder, configured=f'{FILE_KEY}[network]\nproxy = "http://127.0.0.1:{free_port()}"\n') as at:
        assert "proxy" in wrong(at.machine)


def test_a_config_that_is_wrong(at: Desk) -> None:
    with at.machine.config.open("a") as config:
        config.write("[network]\nproxi = ''\n")
    told = wrong(at.machine)
    assert list(told) == ["config"]
    assert "unknown key network.proxi" in told["config"]["sentence"]


def test_a_vault_that_is_locked(at: Desk) -> None:
    at.machine.run("lock")
    assert "vault" in wrong(at.machine)


def test_a_daemon_that_is_not_there_and_the_socket_it_left(at: Desk) -> None:
    at.machine.kill()
    told = wrong(at.machine)
    assert told["daemon"]["hint"] == "aixtiv service start"
    assert "is stale" in told["socket"]["sentence"]


def test_a_credential_that_claude_refuses(at: Desk) -> None:
    at.claude.accept_only()
    told = wrong(at.machine)
    assert list(told) == ["claude-api"]
    assert "anthropic: Claude answers 401 to its oauth" in told["claude-api"]["sentence"]
