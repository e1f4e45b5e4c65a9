"""Real git with `git-credential-aixtiv`, against real `git http-backend` that takes tokens and nothing else."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.authority.process import Running, authorization_server
from peers.githost import GitHost, git_host
from peers.machine import Machine, Ran
from peers.person import visit

CONFIG = """
[account.work]
hosts = ["{place}/acme"]
username = "ada"
"""


class Bench:
    """A machine whose git asks aixtiv alone, a git host, and a server where one signs in as `work`."""

    def __init__(self, machine: Machine, host: GitHost, server: Running) -> None:
        self.machine = machine
        self.host = host
        self.server = server

    def sign_in(self) -> str:
        """The token that came of it, which the host takes."""
        settings = requests.ClientSettings(
            issuer=self.server.issuer, client_id="basic", client_secret=Secret(self.server.secret)
        )
        self.machine.sign_in(visit, requests.Login(account="work", provider="work", settings=settings))
        token = self.machine.token("work").access_token.reveal()
        self.host.taken.add(token)
        return token

    def git(self, *words: str, stdin: str = "", **environ: str) -> Ran:
        settings = ["-c", "credential.helper=", "-c", "credential.helper=aixtiv", "-c", "credential.useHttpPath=true"]
        ran = subprocess.run(
            ["git", *settings, *words],
            env=self.machine.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"} | environ,
            cwd=self.machine.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Ran(ran.stdout, ran.stderr, ran.returncode)

    def audited(self) -> list[str]:
        """The records of tokens that the helper was given."""
        found = self.machine.run("audit", "--json").out.splitlines()
        return [line for line in found if '"what":"token"' in line and "git-credential-aixtiv" in line]


@pytest.fixture
def at(folder: Path) -> Iterator[Bench]:
    with git_host(folder / "git") as host, authorization_server() as server, Machine(folder) as machine:
        machine.configure(CONFIG.format(place=host.place))
        machine.start()
        yield Bench(machine, host, server)


def test_git_clones_with_the_accounts_token_and_shows_it_nowhere_else(at: Bench) -> None:
    url, token = at.host.repository("acme/tool.git"), at.sign_in()
    cloned = at.git("clone", "-q", url, "tool")
    assert cloned.code == 0, cloned.err
    assert at.host.seen[0] == "", "git shows nothing before it is asked"
    assert set(at.host.shown()) == {("ada", token)}
    assert len(at.audited()) == 1
    kept = [path for path in at.machine.home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert kept == []


def test_for_a_path_that_the_account_does_not_name_git_gets_nothing(at: Bench) -> None:
    url, _ = at.host.repository("acme-evil/tool.git"), at.sign_in()
    cloned = at.git("clone", "-q", url, "tool")
    assert cloned.code == 128
    assert "could not read Username" in cloned.err, "it went on, to a person"
    assert "aixtiv" not in cloned.err
    assert (set(at.host.seen), at.audited()) == ({""}, [])


def test_a_token_that_the_host_rejects_is_refreshed_and_the_next_call_succeeds(at: Bench) -> None:
    url, old = at.host.repository("acme/tool.git"), at.sign_in()
    at.host.taken.clear()
    assert at.git("clone", "-q", url, "tool").code == 128, "git erases what was refused"
    new = at.machine.token("work").access_token.reveal()
    assert (new != old, at.server.refreshes) == (True, 1)
    at.host.taken.add(new)
    assert at.git("clone", "-q", url, "tool").code == 0
    assert at.host.shown()[-1] == ("ada", new)


def test_nobody_is_asked_for_a_password_where_an_account_is_for_the_host_and_cannot_serve(at: Bench) -> None:
    url = at.host.repository("acme/tool.git")
    asked = f"#!/bin/sh\ntouch {at.machine.home}/asked\necho x\n"
    script = at.machine.home / "ask"
    script.write_text(asked)
    script.chmod(0o700)
    cloned = at.git("clone", "-q", url, "tool", GIT_ASKPASS=str(script))
    assert cloned.code == 128
    assert "aixtiv: error: nobody has signed in to work" in cloned.err
    assert "aixtiv: hint: aixtiv login work" in cloned.err
    assert not (at.machine.home / "asked").exists()


def test_rules_apply_to_git_as_to_anybody(at: Bench) -> None:
    url, token = at.host.repository("acme/tool.git"), at.sign_in()
    at.machine.configure(CONFIG.format(place=at.host.place) + '[access]\nrelay-only = ["work"]\n')
    assert at.machine.run("reload").code == 0
    cloned = at.git("clone", "-q", url, "tool")
    assert cloned.code == 128
    assert "aixtiv: error: work is relay-only: its token is shown to nobody" in cloned.err
    assert token not in str(at.host.seen)


def test_as_a_subcommand_it_does_the_same_and_an_account_can_be_named(at: Bench) -> None:
    url, token = at.host.repository("acme/tool.git"), at.sign_in()
    helper = "credential.helper=!aixtiv git-credential --account work"
    assert at.git("-c", "credential.helper=", "-c", helper, "clone", "-q", url, "tool").code == 0
    assert at.host.shown()[-1] == ("ada", token)
    refused = at.git("-c", "credential.helper=", "-c", helper, "clone", "-q", at.host.repository("b.git"), "b")
    assert f"aixtiv: error: work is not for {at.host.place}/b.git: account.work.hosts does not name it" in refused.err


def ask(at: Bench, operation: str, *lines: str) -> Ran:
    """As git does it (git-credential(1)): the lines, and an empty one."""
    ran = subprocess.run(
        [at.machine.scripts / "git-credential-aixtiv", operation],
        env=at.machine.environ,
        cwd=at.machine.home,
        input="\n".join((*lines, "", "")),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Ran(ran.stdout, ran.stderr, ran.returncode)


def test_by_the_published_protocol_a_git_that_can_gets_a_bearer_token_with_its_end(at: Bench) -> None:
    token = at.sign_in()
    expires_at = at.machine.token("work").expires_at
    lines = ["capability[]=authtype", "capability[]=state", "protocol=http", f"host={at.host.place}", "path=acme/x.git"]
    bearer = ask(at, "get", *lines, 'wwwauth[]=Basic realm="x"', 'wwwauth[]=Bearer realm="x"')
    assert bearer.out.splitlines() == [
        "capability[]=authtype",
        "authtype=Bearer",
        f"credential={token}",
        "ephemeral=1",
        f"password_expiry_utc={expires_at}",
    ]
    plain = ["username=ada", f"password={token}", f"password_expiry_utc={expires_at}"]
    assert ask(at, "get", *lines, 'wwwauth[]=Basic realm="x"').out.splitlines() == plain
    assert ask(at, "get", *lines[1:], 'wwwauth[]=Bearer realm="x"').out.splitlines() == plain


ELSEWHERE = [
    ("protocol=https", "host=github.com"),
    ("protocol=http", "host=evil.example"),
    ("protocol=ssh", "host=github.com"),
    ("host=github.com",),
    ("nonsense",),
    ("protocol=http", "host=PLACE", "path=acme/../evil"),
    ("protocol=http", "host=PLACE@evil.example", "path=acme/x"),
    ("protocol=http", "host=evil.example?PLACE", "path=acme/x"),
    ("protocol=http", "host=PLACE", "path=acme/x", "username=somebody-else"),
    ("protocol=http", "host=PLACE/acme/x?.evil.example"),
    ("protocol=http", "host=PLACE/acme/@evil.example"),
    ("protocol=http", "host=PLACE/acme/.evil.example", "path=x"),
    ("protocol=http", "host=evil.example", "host=PLACE", "path=acme/x"),
]


def test_for_anything_else_it_says_nothing_so_that_git_goes_on(at: Bench) -> None:
    token = at.sign_in()
    for lines in ELSEWHERE:
        ran = ask(at, "get", *(line.replace("PLACE", at.host.place) for line in lines))
        assert (ran.out, ran.err, ran.code) == ("", "", 0), lines
    for operation in ("erase", "store", "capability"):
        ran = ask(at, operation, "protocol=https", "host=github.com", "username=ada", f"password={token}")
        assert (ran.out, ran.err, ran.code) == ("", "", 0), operation
    assert (at.audited(), at.server.refreshes) == ([], 0)


def test_what_is_stored_is_nowhere(at: Bench) -> None:
    before = {path for path in at.machine.home.rglob("*") if path.is_file()}
    lines = ("protocol=http", f"host={at.host.place}", "path=acme/x.git", "username=ada", "password=made-up-secret")
    assert ask(at, "store", *lines) == Ran("", "", 0)
    after = [path for path in at.machine.home.rglob("*") if path.is_file()]
    assert {path for path in after if path not in before} == set()
    assert [path for path in after if b"made-up-secret" in path.read_bytes()] == []


def test_where_the_vault_is_locked_it_says_so_and_git_goes_on(at: Bench) -> None:
    at.sign_in()
    assert isinstance(at.machine.ask(requests.Lock()), replies.Done)
    ran = ask(at, "get", "protocol=http", f"host={at.host.place}", "path=acme/x.git")
    assert (ran.out, ran.code) == ("", 6)
    assert "aixtiv: error: the vault is locked" in ran.err
