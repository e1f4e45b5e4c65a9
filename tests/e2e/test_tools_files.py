"""A file in which a tool finds a token, of the real daemon: across refreshes, locks, restarts, ends and a `kill -9`."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.authority.process import Running, authorization_server
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until

CONFIG = """
[account.work]
publish = { path = "~/tools/token", format = "json", template = '{"token": "{access_token}", "ends": {expires_at}}' }
"""


class Bench:
    def __init__(self, machine: Machine, server: Running) -> None:
        self.machine = machine
        self.server = server
        self.file = machine.home / "tools/token"

    def sign_in(self) -> None:
        settings = requests.ClientSettings(
            issuer=self.server.issuer, client_id="basic", client_secret=Secret(self.server.secret)
        )
        self.machine.sign_in(visit, requests.Login(account="work", provider="work", settings=settings))
        self.newest()

    def newest(self) -> None:
        """Waits until the file holds the token that the daemon serves."""
        token = self.machine.token("work")
        held = {"token": token.access_token.reveal(), "ends": token.expires_at}
        until(
            lambda: self.file.exists() and json.loads(self.file.read_text()) == held, "the file holds the newest token"
        )

    def gone(self) -> bool:
        return not self.file.exists()


@pytest.fixture
def at(folder: Path) -> Iterator[Bench]:
    with authorization_server() as server, Machine(folder) as machine:
        machine.configure(CONFIG)
        bench = Bench(machine.start(), server)
        bench.sign_in()
        yield bench


def test_it_holds_the_newest_token_and_never_a_refresh_token(at: Bench) -> None:
    for _ in range(2):
        assert at.machine.run("refresh", "work").code == 0
        at.newest()
    assert at.file.stat().st_mode & 0o777 == 0o600
    text = at.file.read_text()
    assert [lineage.live for lineage in at.server.families("ada") if lineage.live in text] == []
    read = subprocess.run(["jq", "-r", ".token", at.file], capture_output=True, text=True, check=True).stdout.strip()
    assert at.server.active(read)


def test_a_lock_a_sign_out_and_the_end_remove_it_before_they_are_answered(at: Bench) -> None:
    assert at.machine.run("lock").code == 0
    assert at.gone()
    assert at.machine.run("unlock").code == 0
    at.newest()
    assert at.machine.stop() == 0
    assert at.gone()
    at.machine.start()
    at.newest()
    assert at.machine.run("logout", "work").code == 0
    assert at.gone()


def test_a_restart_leaves_it_where_it_is(at: Bench) -> None:
    before = at.file.stat().st_ino
    assert isinstance(at.machine.ask(requests.Restart()), replies.Done)
    until(lambda: len(at.machine.logged("ready")) == 2, "the next daemon is there")
    at.newest()
    assert at.file.stat().st_ino == before


def test_what_a_killed_daemon_left_goes_at_the_next_start_where_the_config_names_it_no_more(at: Bench) -> None:
    at.machine.kill()
    assert not at.gone()
    at.machine.configure("")
    at.machine.start()
    until(at.gone, "the file is gone")


def test_what_is_wrong_stops_no_refresh_and_is_told_by_status_and_doctor(at: Bench) -> None:
    at.file.parent.chmod(0o777)
    assert at.machine.run("refresh", "work").code == 0
    until(lambda: at.machine.run("status", "--json").json()["publish_problem"], "the problem is known")
    assert f"{at.file.parent}: others can write in that folder" in at.machine.run("status").out
    assert "✗ published" in at.machine.run("doctor").out
    at.file.parent.chmod(0o700)
    assert at.machine.run("reload").code == 0
    at.newest()
    assert at.machine.run("status", "--json").json()["publish_problem"] == ""
