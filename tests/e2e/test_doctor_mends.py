"""`aixtiv doctor --fix` on a real machine: what is safe to mend is, and is looked at again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv_protocol import VERSION
from peers.desk import Desk, desk
from peers.diagnosed import FILE_KEY, found, old_file, older_daemon, wrong


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    """Somebody is signed in for Claude, and a browser is there."""
    with desk(folder, configured=FILE_KEY) as at:
        at.machine.environ["BROWSER"] = at.machine.browser()
        at.sign_in()
        yield at


def test_modes_are_mended_and_the_daemon_starts_again(at: Desk) -> None:
    at.machine.stop()
    at.machine.state.chmod(0o755)
    (at.machine.state / "store.db").chmod(0o644)
    told = found(at.machine, "--fix", AIXTIV_NO_START="0")
    assert told["store"]["fixed"]
    assert told["daemon"]["verdict"] == "fine"
    assert (at.machine.state / "store.db").stat().st_mode & 0o777 == 0o600
    assert at.machine.run("stop").code == 0


def test_a_stale_socket_is_removed(at: Desk) -> None:
    at.machine.kill()
    told = found(at.machine, "--fix")
    assert told["socket"]["fixed"]
    assert not at.machine.socket.exists()


def test_the_old_file_is_mended_beside_a_copy_of_it(at: Desk) -> None:
    path = old_file(
        at.machine,
        endpoint=f"{at.claude.url}/v1/complete",
        version="2020-01-01",
        auth={"type": "oauth2", "fallback": "none"},
        headers={"anthropic-api-key": "${ANTHROPIC_API_KEY}"},
    )
    was = path.read_text()
    told = found(at.machine, "--fix")
    assert {name: one["sentence"] for name, one in told.items() if one["verdict"] == "wrong"} == {}
    assert [name for name, one in told.items() if one["fixed"]] == ["claude-path", "claude-header", "claude-version"]
    assert json.loads(path.read_text()) == {
        "claude": {
            "api": {
                "endpoint": f"{at.claude.url}/v1/messages",
                "version": "2023-06-01",
                "auth": {"type": "oauth2", "fallback": "none"},
            }
        }
    }
    assert path.with_name("api-config.json.before-aixtiv").read_text() == was
    assert wrong(at.machine) == {}


def test_an_older_daemon_is_restarted_only_with_a_yes(at: Desk) -> None:
    with older_daemon(at.machine):
        assert "version" in wrong(at.machine, "--fix")
        assert at.machine.answers()
        told = found(at.machine, "--fix", "--yes")
        assert told["version"]["fixed"], told
        now = at.machine.run("status", "--json").json()
        assert (now["version"], now["pid"]) == (VERSION, at.machine.pid), "it became the newer one, where it was"
        at.machine.run("stop")
        assert at.machine.ended() == 0


def test_what_cannot_be_mended_stays_wrong_and_says_why(at: Desk) -> None:
    path = old_file(at.machine, endpoint=f"{at.claude.url}/v1/complete")
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")
    told = found(at.machine, "--fix")
    assert told["claude-path"]["verdict"] == "wrong"
    assert "it could not be mended: " in told["claude-path"]["sentence"]
    assert "is a link" in told["claude-path"]["sentence"]
