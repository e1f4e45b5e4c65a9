"""Accounts that nobody signs in to, as a person types them: real commands, a real daemon, real servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtiv_protocol import requests
from peers.authority.process import Running, authorization_server
from peers.claude_api.process import claude_process
from peers.leaks import leaks
from peers.machine import Machine
from peers.person import visit
from peers.provider import Provider

RULE = ("--federation", "fdrl_1", "--organization", "org_1")


@pytest.fixture
def claude(provider: Provider) -> Iterator[Running]:
    """Claude's token endpoint, as strict as the real one, with a federation rule for the company's issuer."""
    with authorization_server("--claude", "--trusts", provider.issuer) as server:
        yield server


def sign_in(machine: Machine, provider: Provider) -> None:
    """The company's sign-in, in the browser."""
    with machine.running("login", "corp", *provider.options(), BROWSER=machine.browser()) as login:
        visit(machine.opened())
        _, err = login.communicate(timeout=30)
    assert login.returncode == 0, err


def program(machine: Machine, name: str, text: str) -> Path:
    """A command of the person's, in ~/bin."""
    path = machine.home / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def with_bin(machine: Machine) -> dict[str, str]:
    return {"PATH": f"{machine.home / 'bin'}:{machine.environ['PATH']}"}


def test_the_companys_sign_in_feeds_claude_and_the_daemon_needs_nothing_more(
    machine: Machine, provider: Provider, claude: Running
) -> None:
    sign_in(machine, provider)
    endpoint = ("--token-endpoint", f"{claude.issuer}/token")
    ran = machine.run("login", "claude", *RULE, "--identity-account", "corp", *endpoint)
    assert ran.code == 0, ran.err
    assert "signed in to claude" in ran.out
    account = machine.account("claude")
    assert (account.kind, account.provider, account.state) == ("federation", "anthropic", "fresh")
    first = machine.run("token", "claude").out
    machine.stop()
    machine.start()
    assert machine.run("token", "claude").out == first
    assert machine.run("refresh", "claude").code == 0
    assert machine.run("token", "claude").out not in ("", first)
    assert machine.run("verify", "claude").code == 0
    assert machine.run("login", "claude").code == 0, "again, as before"
    assert {request["grant"] for request in claude.until()["requests"]} == {
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    }
    assert len(claude.until()["requests"]) == 3
    assertions = {json.loads(request["body"])["assertion"] for request in claude.until()["requests"]}
    assert leaks(provider.issued | claude.issued | assertions, {"log": machine.log.encode()}) == []
    assert machine.run("logout", "claude").code == 0
    assert machine.run("token", "corp").code == 0


def test_an_identity_that_is_about_to_end_is_refreshed_by_a_certified_issuer(
    machine: Machine, provider: Provider, claude: Running
) -> None:
    """oidc-provider gives another ID token with each refresh, so that nobody has to sign in for an exchange."""
    sign_in(machine, provider)
    machine.run("login", "claude", *RULE, "--identity-account", "corp", "--token-endpoint", f"{claude.issuer}/token")
    assert machine.run("refresh", "corp").code == 0
    assert machine.run("refresh", "claude").code == 0
    assert (provider.refreshes, provider.reuses) == (1, 0)


def test_an_identitys_end_is_told_with_the_account_to_sign_in_to(
    machine: Machine, provider: Provider, claude: Running
) -> None:
    sign_in(machine, provider)
    claude.tell(access_ttl=1)
    machine.run("login", "claude", *RULE, "--identity-account", "corp", "--token-endpoint", f"{claude.issuer}/token")
    assert machine.run("logout", "corp").code == 0
    ran = machine.run("refresh", "claude")
    assert ran.code == 1
    assert "there is no account corp" in ran.err
    assert "hint: aixtiv login corp" in ran.err


def test_ant_stays_the_one_that_refreshes(machine: Machine) -> None:
    """What the daemon runs is what stands on the person's PATH, not on its own, and without the person's secrets."""
    seen = machine.home / "seen"
    program(machine, "ant", f'env > {seen}; test "$*" = "auth print-credentials --access-token" && echo sk-ant-oat01-x')
    ran = machine.run("login", "claude", "--ant", ANTHROPIC_API_KEY="sk-ant-api-y", **with_bin(machine))
    assert ran.code == 0, ran.err
    account = machine.account("claude")
    assert (account.kind, account.provider) == ("command", "anthropic")
    assert machine.run("token", "claude").out == "sk-ant-oat01-x\n"
    assert not {"ANTHROPIC_API_KEY", "AIXTIV_NO_START"} & {line.partition("=")[0] for line in seen.read_text().split()}
    ran = machine.run("logout", "claude")
    assert f"{machine.home}/bin/ant keeps its own sign-in" in ran.err + ran.out


def test_a_client_gets_its_own_token_at_a_certified_server(machine: Machine, provider: Provider) -> None:
    options = ("--client-credentials", "--issuer", provider.issuer, "--client-id", "basic", "--scope", "api:read")
    ran = machine.run("login", "robot", *options, "--client-secret", stdin=f"{provider.secret}\n")
    assert ran.code == 0, ran.err
    assert provider.active(machine.token("robot").access_token.reveal())
    assert machine.run("refresh", "robot").code == 0
    assert machine.account("robot").kind == "client-credentials"
    assert len(provider.seen("granted", grant="client_credentials")) == 2


@pytest.mark.parametrize("words", ["login", "refresh"])
def test_killed_between_answer_and_disk_nothing_is_lost(
    machine: Machine, provider: Provider, claude: Running, words: str
) -> None:
    sign_in(machine, provider)
    login = ("login", "claude", *RULE, "--identity-account", "corp", "--token-endpoint", f"{claude.issuer}/token")
    if words == "refresh":
        assert machine.run(*login).code == 0
    machine.stop()
    machine.start(AIXTIVD_FAULT="after-ask")
    assert machine.run(*(login if words == "login" else ("refresh", "claude"))).code != 0
    assert machine.ended() == -9
    machine.start()
    if words == "login":
        assert machine.run("token", "claude").code == 1, "it was never bound"
        assert machine.run(*login).code == 0
    assert machine.run("refresh", "claude").code == 0
    assert claude.issued
    assert machine.token("claude").access_token.reveal() == claude.newest


def test_the_daemon_stops_in_order_while_a_command_hangs(machine: Machine) -> None:
    started = machine.home / "started"
    hangs = program(machine, "prints", f"test -e {started} && exec sleep 600; touch {started}; echo token")
    assert machine.run("login", "claude", "--command", str(hangs)).code == 0
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account="claude", wait=600))
        talk.say(requests.Status())
        assert machine.stop() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*RULE,), "comes from one of --identity-file"),
        (("--federation", "r", "--identity-file", "x"), "wants --organization"),
        (("--organization", "o", "--identity-file", "x"), "belong to --federation"),
        ((*RULE, "--identity-file", "x", "--identity-account", "y"), "comes from one of"),
        (("--client-credentials", "--command", "true"), "--client-credentials and --command exclude each other"),
        (("--command", "no-such-command"), "there is no command no-such-command on the PATH"),
        (("--command", "'"), "a quotation mark is missing"),
        (("--ant",), "there is no command ant on the PATH"),
    ],
)
def test_what_is_typed_wrongly_is_said_before_the_daemon_is_asked(
    folder: Path, options: tuple[str, ...], words: str
) -> None:
    with Machine(folder) as machine:
        ran = machine.run("login", "claude", *options)
    assert ran.code == 64
    assert words in ran.err


def test_the_endpoint_of_the_old_environment_is_bound(machine: Machine) -> None:
    """The command reads it in the person's shell, and the daemon keeps it: whoever calls later needs no variable."""
    ran = machine.run(
        "api-key", "set", stdin="sk-ant-api-x\n", CLAUDE_API_ENDPOINT="http://elsewhere.example/v1/messages"
    )
    assert ran.code == 1
    assert "plain http is used on this machine only" in ran.err
    ran = machine.run(
        "api-key", "set", stdin="sk-ant-api-x\n", CLAUDE_API_ENDPOINT="https://api.anthropic.com/v1/messages"
    )
    assert ran.code == 0


def test_a_federation_pays_for_a_relayed_call_is_asked_again_when_refused_and_then_a_key_pays(
    machine: Machine, provider: Provider, claude: Running
) -> None:
    """The order of D12 from end to end: token, another token after a 401, the key after another one; each said."""
    sign_in(machine, provider)
    with claude_process() as api:
        options = ("--identity-account", "corp", "--token-endpoint", f"{claude.issuer}/token", "--endpoint", api.url)
        assert machine.run("login", "claude", *RULE, *options).code == 0
        api.accept(claude.newest)
        assert machine.run("claude", "api", "GET", "/v1/models").code == 0

        refused = claude.newest
        api.revoke(refused)
        key = "sk-ant-api03-made-up"
        api.accept(key)
        assert machine.run("api-key", "set", "claude", stdin=f"{key}\n").code == 0
        ran = machine.run("claude", "api", "GET", "/v1/models")
        assert ran.code == 0, ran.err
        assert "an API key pays for claude" in ran.err
        assert claude.newest != refused, "it was asked again first"
        assert [line["detail"].partition(":")[0] for line in machine.logged("paying")] == ["an API key pays for claude"]

        assert machine.run("refresh", "claude").code == 0
        api.accept(claude.newest)
        ran = machine.run("claude", "api", "GET", "/v1/models")
        assert (ran.code, ran.err) == (0, "")
        assert len(machine.logged("paying")) == 2
    assert leaks({key, *claude.issued}, {"log": machine.log.encode()}) == []
