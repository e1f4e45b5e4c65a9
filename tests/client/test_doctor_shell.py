"""What is wrong around the daemon: ports, browser, proxies, and the shell's variables."""

import json
import os
import socket

import pytest
from msgspec import structs

from aixtiv import ports
from aixtiv.doctor import environment, network
from aixtiv.doctor.situation import Answered, Situation
from peers.patient import KEY, TICKET, TOKEN, only, with_shell, wrongs

# ---- ports, browser, proxies


def test_ports_for_sign_ins_can_be_bound(here: Situation) -> None:
    assert only(network.check_callback_ports(here)).verdict == "fine"


def test_a_loopback_that_gives_no_port_is_found(here: Situation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "bind", lambda *_: (None, ports.Refusal(False, False, "operation not permitted")))
    found = only(network.check_callback_ports(here))
    assert (found.name, found.verdict) == ("callback-ports", "wrong")
    assert "operation not permitted" in found.sentence


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_squats_the_redirects_port_is_named(here: Situation, address: str) -> None:
    with socket.socket(ports.LOOPBACKS[address]) as squatter:
        squatter.bind((address, 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        uri = f"http://localhost:{port}/oauth/callback"
        shell = with_shell(here, CLAUDE_OAUTH_CLIENT_ID="old", CLAUDE_OAUTH_REDIRECT_URI=uri)
        found = only(network.check_redirect_port(shell))
    assert (found.name, found.verdict) == ("redirect-port", "wrong")
    assert f"(pid {os.getpid()}) has port {port} on {address}" in found.sentence
    assert "a sign-in to anthropic comes back to" in found.sentence.replace("where ", "")
    assert found.hint == f"ss -ltnp 'sport = :{port}'"


def test_the_old_redirects_port_counts_only_where_somebody_uses_it(here: Situation) -> None:
    assert only(network.check_redirect_port(here)).verdict == "skipped"
    shell = with_shell(here, GITHUB_OAUTH_CLIENT_ID="old")
    assert "port 3000" in only(network.check_redirect_port(shell)).sentence


def test_a_configured_redirect_counts_too(here: Situation) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tables = {
        "provider": {
            "work": {"redirect-uri": f"http://127.0.0.1:{port}/cb"},
            "odd": {"redirect-uri": "http://[", "x": 1},
        }
    }
    found = only(network.check_redirect_port(structs.replace(here, tables=tables)))
    assert (found.verdict, found.sentence) == ("fine", f"port {port} is free for a sign-in to work")


def test_a_browser_that_is_not_there_is_found(here: Situation) -> None:
    found = only(network.check_browser(with_shell(here, BROWSER="no-such-browser %s")))
    assert (found.name, found.verdict, found.hint) == ("browser", "wrong", "unset BROWSER")
    assert only(network.check_browser(with_shell(here, BROWSER="aixtiv %s"))).verdict == "fine"


def test_without_a_display_it_says_how_to_do_without(here: Situation) -> None:
    found = only(network.check_browser(here))
    assert (found.verdict, found.hint) == ("skipped", "aixtiv login github --no-browser")


def test_a_display_without_a_browser_is_found(here: Situation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_browser", lambda: "")
    assert only(network.check_browser(with_shell(here, DISPLAY=":0"))).verdict == "wrong"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_only_the_shell_knows_is_found_unless_the_api_is_reached(here: Situation, name: str) -> None:
    shell = with_shell(here, **{name: "http://user:hush@proxy:3128"})
    found = only(network.check_proxy(shell))
    assert (found.name, found.verdict, found.hint) == ("proxy", "wrong", f"$EDITOR {here.config}")
    assert name in found.sentence
    assert "hush" not in repr(found)
    assert only(network.check_proxy(structs.replace(shell, relay=lambda _: Answered(200)))).verdict == "fine"


def test_a_proxy_in_the_config_that_does_not_answer_is_found(here: Situation) -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        port = proxy.getsockname()[1]
        configured = structs.replace(here, tables={"network": {"proxy": f"http://127.0.0.1:{port}"}})
        dead = only(network.check_proxy(configured))
        proxy.listen()
        alive = only(network.check_proxy(configured))
    assert (dead.verdict, alive.verdict) == ("wrong", "fine")
    assert f"127.0.0.1:{port} takes no connection" in dead.sentence


@pytest.mark.parametrize(
    ("spared", "verdict"),
    [("", "wrong"), ("localhost", "wrong"), ("127.0.0.0/8", "wrong"), ("a, 127.0.0.1", "fine"), ("*", "fine")],
)
def test_a_proxy_that_would_get_what_is_meant_for_aixtiv_is_found(here: Situation, spared: str, verdict: str) -> None:
    found = only(network.check_no_proxy(with_shell(here, HTTP_PROXY="http://p:1", NO_PROXY=spared)))
    assert (found.name, found.verdict) == ("no-proxy", verdict)
    assert only(network.check_no_proxy(here)).verdict == "skipped"


# ---- variables


@pytest.mark.parametrize(
    ("environ", "words", "hint"),
    [
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": TOKEN}, "both set", "unset ANTHROPIC_AUTH_TOKEN"),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": TICKET}, "both set", "unset ANTHROPIC_API_KEY"),
        (
            {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_PROFILE": "aixtiv"},
            "hides ANTHROPIC_PROFILE",
            "unset ANTHROPIC_API_KEY",
        ),
        (
            {"ANTHROPIC_AUTH_TOKEN": TOKEN, "ANTHROPIC_PROFILE": "x"},
            "hides ANTHROPIC_PROFILE",
            "unset ANTHROPIC_AUTH_TOKEN",
        ),
        (
            {"ANTHROPIC_OAUTH_CLIENT_ID": "a", "CLAUDE_OAUTH_CLIENT_ID": "b"},
            "CLAUDE_OAUTH_CLIENT_ID",
            "unset CLAUDE_OAUTH_CLIENT_ID",
        ),
        ({"ANTHROPIC_API_KEY": KEY, "DR_CLAUDE_API": "another"}, "which is a key here", "unset DR_CLAUDE_API"),
        (
            {"CLAUDE_API_ENDPOINT": "https://a/", "DR_CLAUDE_API": "https://b/"},
            "is an address here",
            "unset DR_CLAUDE_API",
        ),
    ],
)
def test_a_variable_that_hides_another_is_found(
    here: Situation, environ: dict[str, str], words: str, hint: str
) -> None:
    found = wrongs(environment.check_shadowing(with_shell(here, **environ)))
    assert [one.name for one in found] == ["shadowing"]
    assert words in only(found).sentence
    assert found[0].hint == hint


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ANTHROPIC_API_KEY": KEY},
        {"ANTHROPIC_API_KEY": KEY, "DR_CLAUDE_API": KEY},
        {"ANTHROPIC_OAUTH_SCOPE": "a", "CLAUDE_OAUTH_SCOPE": "a"},
        {"ANTHROPIC_API_KEY": KEY, "DR_CLAUDE_API": "https://api.anthropic.com/v1/messages"},
    ],
)
def test_what_says_the_same_or_something_else_hides_nothing(here: Situation, environ: dict[str, str]) -> None:
    assert only(environment.check_shadowing(with_shell(here, **environ))).verdict == "fine"


def test_a_key_in_the_very_settings_that_name_the_helper_is_found(here: Situation) -> None:
    (here.home / ".claude").mkdir()
    settings = {"apiKeyHelper": "aixtiv claude-key", "env": {"ANTHROPIC_API_KEY": KEY}}
    (here.home / ".claude/settings.json").write_text(json.dumps(settings))
    found = only(environment.check_shadowing(here))
    assert (found.verdict, found.hint) == ("wrong", f"$EDITOR {here.home}/.claude/settings.json")


def test_a_key_that_hides_claude_codes_helper_is_found(here: Situation) -> None:
    (here.home / ".claude").mkdir()
    (here.home / ".claude/settings.json").write_text('{"apiKeyHelper": "aixtiv claude-key"}')
    found = only(environment.check_shadowing(with_shell(here, ANTHROPIC_API_KEY=KEY)))
    assert "hides the apiKeyHelper in Claude Code's settings" in found.sentence


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "nobody answers there"),
        ("https://gate.example.org", "past aixtiv"),
        ("https://user:hush@gate.example.org", "to https://gate.example.org, past aixtiv"),
        ("https://api.anthropic.com/v1", "tools add /v1/messages to that"),
        ("nonsense", "is no address"),
        ("http://127.0.0.1:port", "is no address"),
    ],
)
def test_a_base_url_that_leads_elsewhere_is_found(here: Situation, url: str, words: str) -> None:
    found = only(environment.check_base_url(with_shell(here, ANTHROPIC_BASE_URL=url)))
    assert (found.name, found.verdict) == ("base-url", "wrong")
    assert words in found.sentence
    assert "hush" not in repr(found)


def test_a_base_url_that_answers_is_fine_also_in_claude_codes_settings(here: Situation) -> None:
    folder = here.home / "elsewhere"
    folder.mkdir()
    with socket.socket() as gateway:
        gateway.bind(("127.0.0.1", 0))
        gateway.listen()
        url = f"http://127.0.0.1:{gateway.getsockname()[1]}"
        (folder / "settings.json").write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": url}}))
        found = list(
            environment.check_base_url(with_shell(here, ANTHROPIC_BASE_URL=url, CLAUDE_CONFIG_DIR=str(folder)))
        )
    assert [one.verdict for one in found] == ["fine", "fine"]
    found = list(environment.check_base_url(with_shell(here, CLAUDE_CONFIG_DIR=str(folder))))
    assert (only(found).verdict, found[0].hint) == ("wrong", "aixtiv setup claude-code")


@pytest.mark.parametrize(
    ("name", "value", "words", "hint"),
    [
        (
            "ANTHROPIC_API_KEY",
            TOKEN,
            "an OAuth token (sk-ant-oat…)",
            'export ANTHROPIC_AUTH_TOKEN="$ANTHROPIC_API_KEY"',
        ),
        ("DR_CLAUDE_API", TOKEN, "an OAuth token", 'export ANTHROPIC_AUTH_TOKEN="$DR_CLAUDE_API"'),
        ("ANTHROPIC_AUTH_TOKEN", KEY, "an API key (sk-ant-api…)", 'export ANTHROPIC_API_KEY="$ANTHROPIC_AUTH_TOKEN"'),
        ("ANTHROPIC_API_KEY", "sk-ant-admin01-x", "an admin key (sk-ant-admin…)", "unset ANTHROPIC_API_KEY"),
        ("ANTHROPIC_API_KEY", TICKET, "a ticket of aixtiv", "export ANTHROPIC_AUTH_TOKEN"),
        ("ANTHROPIC_API_KEY", f"{KEY}\n", "a line break around", "unset ANTHROPIC_API_KEY"),
        ("ANTHROPIC_API_KEY", f" {KEY}", "blanks around", "unset ANTHROPIC_API_KEY"),
        ("ANTHROPIC_AUTH_TOKEN", f'"{TOKEN}"', "quotes around", "unset ANTHROPIC_AUTH_TOKEN"),
        ("DR_CLAUDE_API", "api.anthropic.com/v1/messages", "looks like an address", "unset DR_CLAUDE_API"),
    ],
)
def test_a_key_of_the_wrong_kind_is_found_and_not_shown(
    here: Situation, name: str, value: str, words: str, hint: str
) -> None:
    found = only(environment.check_key_kind(with_shell(here, **{name: value})))
    assert (found.name, found.verdict) == ("key-kind", "wrong")
    assert words in found.sentence
    assert found.hint.startswith(hint)


@pytest.mark.parametrize(
    "environ",
    [
        {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": TICKET},
        {"DR_CLAUDE_API": "https://api.anthropic.com/v1/messages"},
        {"ANTHROPIC_API_KEY": "another-gateways-own"},
    ],
)
def test_what_belongs_there_is_fine(here: Situation, environ: dict[str, str]) -> None:
    assert only(environment.check_key_kind(with_shell(here, **environ))).verdict == "fine"
