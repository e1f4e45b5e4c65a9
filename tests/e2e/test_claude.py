"""The old names and variables, at a server with all of Claude's quirks: it refuses whoever does not respect them."""

import fcntl
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from peers.authority.process import Running, authorization_server
from peers.machine import Machine
from peers.person import visit


@pytest.fixture(autouse=True)
def the_old_port() -> Iterator[None]:
    """Port 3000, the old redirect's: one test at a time can have it, on all the cores and in every run."""
    with (Path(tempfile.gettempdir()) / "aixtiv-tests-port-3000").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def old_environment(server: Running) -> dict[str, str]:
    """What a user of the old command has in the shell."""
    return {
        "CLAUDE_OAUTH_CLIENT_ID": "native",
        "CLAUDE_OAUTH_AUTH_ENDPOINT": f"{server.issuer}/authorize",
        "CLAUDE_OAUTH_TOKEN_ENDPOINT": f"{server.issuer}/token",
    }


def test_a_sign_in_with_the_old_names_is_finished_by_a_pasted_code_and_outlives_the_environment(
    machine: Machine,
) -> None:
    """The client settings are bound into the grant: the refresh needs no variable (design.md, D10)."""
    with authorization_server("--claude") as server:
        started = machine.run("auth:oauth2-login", "-n", **old_environment(server))
        assert started.code == 0, started.err
        url = started.out.strip()
        asked = parse_qs(urlsplit(url).query)
        assert asked["scope"] == ["code:generate code:execute"]
        assert asked["redirect_uri"] == ["http://localhost:3000/oauth/callback"]

        answer = parse_qs(urlsplit(visit(url, stop_at=asked["redirect_uri"][0]).url).query)
        finished = machine.run("auth:oauth2-callback", stdin=f"{answer['code'][0]}#{answer['state'][0]}\n")
        assert finished.code == 0, finished.err
        first = machine.run("token", "anthropic").out.strip()
        assert first

        machine.stop()
        machine.start()
        refreshed = machine.run("refresh", "anthropic")
        assert refreshed.code == 0, refreshed.err
        assert machine.run("token", "anthropic").out.strip() not in ("", first)
        assert (server.refreshes, server.reuses) == (1, 0)
        assert machine.run("auth:verify").code == 0


def test_the_old_redirect_is_listened_to_at_its_very_port_and_path(machine: Machine) -> None:
    with authorization_server("--claude") as server:
        environ = old_environment(server) | {"BROWSER": machine.browser()}
        with machine.running("login", "anthropic", **environ) as login:
            page = visit(machine.opened())
            _, err = login.communicate(timeout=30)
        assert login.returncode == 0, err
        assert urlsplit(page.url)[1:3] == ("localhost:3000", "/oauth/callback")
        assert machine.account("anthropic").state == "fresh"


def test_the_old_files_say_how_to_sign_in(machine: Machine) -> None:
    """Below the environment; `${VARIABLE}` is expanded, and what is not set is said."""
    with authorization_server("--claude") as server:
        folder = machine.home / ".aixtiv"
        folder.mkdir()
        client = {
            "clientId": "${MY_CLIENT}",
            "authEndpoint": f"{server.issuer}/authorize",
            "tokenEndpoint": f"{server.issuer}/token",
            "defaultScopes": ["code:generate"],
        }
        (folder / "oauth2-config.json").write_text(json.dumps({"providers": {"claude": client}}))
        started = machine.run("login", "-n", "anthropic", MY_CLIENT="native")
        assert started.code == 0, started.err
        asked = parse_qs(urlsplit(started.out.strip()).query)
        assert (asked["client_id"], asked["scope"]) == (["native"], ["code:generate"])
        missing = machine.run("login", "-n", "anthropic")
        assert "oauth2-config.json: providers.claude.clientId: ${MY_CLIENT} is not set" in missing.err
