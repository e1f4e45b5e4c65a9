"""The official SDKs, unmodified, through the real daemon's gateway: each finds there what it would find at Claude's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from peers import sdks
from peers.claude_api.process import sent
from peers.desk import ACCOUNT, KEY, Desk, desk
from peers.machine import SCRIPTS
from peers.ports import free_port
from peers.sdks import Sdk

ACTS: Final = ("plain", "stream", "long", "count", "models", "limited", "overloaded", "large")
REPLY: Final = "You said: a word from the SDK"
LARGE: Final = 20 * 1024 * 1024

# Each connection has its own; the relay puts in the credential, and takes out a browser's (Node's fetch is like one)
NOT_COMPARED: Final = frozenset({"host", "connection", "authorization", "sec-fetch-mode"})


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with desk(folder) as at:
        at.sign_in()
        yield at


@pytest.fixture(params=sdks.NAMES)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return sdks.sdk(request.param)


@pytest.fixture(params=sdks.PYTHONS)
def python(request: pytest.FixtureRequest) -> Sdk:
    return sdks.sdk(request.param)


def check(came: dict[str, Any], sdk: Sdk) -> None:
    """That a program saw all that there was to see."""
    assert (came["plain"], came["stream"], came["long"]) == (REPLY, REPLY, 1000)
    assert came["count"] > 1
    assert len(came["models"]) == 4
    assert came["large"].startswith("You said: xxx")
    limited = came["limited"]
    assert (limited["class"], limited["status"], limited["retry-after"]) == ("RateLimitError", 429, "7")
    assert limited["request-id"].startswith("req_")
    assert came["overloaded"]["class"] == ("APIError" if sdk.name == "typescript" else "APIStatusError")
    assert came["overloaded"]["body"]["error"]["type"] == "overloaded_error"


def check_upstream(at: Desk) -> None:
    """That Claude saw the one real token with each call, and no ticket at all."""
    heard = at.claude.requests
    assert {sent(request, "authorization") for request in heard} == {f"Bearer {at.server.newest}"}
    assert "aixtiv-ticket" not in json.dumps([request["headers"] for request in heard])
    assert max(request["size"] for request in heard) > LARGE


def environ(at: Desk, **more: str) -> dict[str, str]:
    return at.machine.environ | more


def executed(account: str = ACCOUNT) -> tuple[str, ...]:
    return (str(SCRIPTS / "aixtiv"), "exec", account, "--")


def test_over_tcp_with_a_ticket_in_the_environment(at: Desk, sdk: Sdk) -> None:
    came = sdk.run(*ACTS, environ=environ(at), before=executed())
    check(came.acts, sdk)
    check_upstream(at)


def test_many_streams_at_once(at: Desk, sdk: Sdk) -> None:
    came = sdk.run("many", environ=environ(at), before=executed())
    assert came.acts["many"] == [REPLY] * 20


def test_with_an_account_that_is_an_api_key(folder: Path, sdk: Sdk) -> None:
    """Claude gets it as `x-api-key`, without the flag that goes with tokens, whatever the SDK sends."""
    with desk(folder) as at:
        kept = at.machine.run("api-key", "set", ACCOUNT, stdin=f"{KEY}\n")
        assert kept.code == 0, kept.err
        came = sdk.run("plain", "stream", "models", environ=environ(at), before=executed())
        assert (came.acts["plain"], came.acts["stream"], len(came.acts["models"])) == (REPLY, REPLY, 4)
        heard = at.claude.requests
        assert {sent(request, "x-api-key") for request in heard} == {KEY}
        assert {sent(request, "authorization") + sent(request, "anthropic-beta") for request in heard} == {""}


def test_over_the_unix_socket_without_anything(at: Desk, sdk: Sdk) -> None:
    came = sdk.run(*ACTS, "--socket", at.gateway, environ=environ(at))
    check(came.acts, sdk)
    check_upstream(at)


def test_over_the_unix_socket_with_the_client_that_aixtiv_makes(at: Desk, python: Sdk) -> None:
    came = python.run(*ACTS, "--carried", ACCOUNT, environ=environ(at, **sdks.AIXTIV))
    check(came.acts, python)
    check_upstream(at)


def test_by_the_sdks_own_profile_with_only_its_name_set(at: Desk, sdk: Sdk) -> None:
    made = at.machine.run("setup", "sdk-profile", "--yes", "--port", str(free_port()))
    assert made.code == 0, made.err
    came = sdk.run(*ACTS, environ=environ(at, ANTHROPIC_PROFILE="aixtiv"))
    check(came.acts, sdk)
    check_upstream(at)


def test_with_the_callable_that_the_sdk_takes_as_its_credentials(at: Desk, python: Sdk) -> None:
    """Here the SDK calls Claude itself, with a token that it asks us for each time."""
    where = environ(at, ANTHROPIC_BASE_URL=at.claude.url, **sdks.AIXTIV)
    came = python.run(*ACTS, "--account", ACCOUNT, environ=where)
    check(came.acts, python)
    check_upstream(at)


def test_a_token_that_claude_refuses_is_fetched_anew_by_the_sdk_itself(at: Desk, python: Sdk) -> None:
    """`credentials=` is asked again with force_refresh, after the one 401 that the SDK forgives."""
    at.claude.revoke(at.server.newest)
    where = environ(at, ANTHROPIC_BASE_URL=at.claude.url, **sdks.AIXTIV)
    came = python.run("plain", "--account", ACCOUNT, "--retries", "1", environ=where)
    assert came.acts == {"plain": REPLY}
    assert [request["status"] for request in at.claude.requests] == [401, 200]
    assert at.server.refreshes == 1


def test_a_token_that_claude_refuses_is_refreshed_behind_the_sdks_back(at: Desk, sdk: Sdk) -> None:
    """Also with twenty megabytes on their way, which are sent a second time."""
    at.claude.revoke(at.server.newest)
    came = sdk.run("large", "plain", environ=environ(at), before=executed())
    assert came.acts["large"].startswith("You said: xxx")
    assert came.acts["plain"] == REPLY
    assert [request["status"] for request in at.claude.requests] == [401, 200, 200]
    assert at.claude.requests[1]["size"] > LARGE
    assert at.server.refreshes == 1


def test_what_the_sdk_sends_arrives_as_if_nobody_stood_between(at: Desk, sdk: Sdk) -> None:
    """Bodies byte by byte, headers with their values: sent to Claude directly, then through the gateway."""
    token = at.machine.token(ACCOUNT).access_token.reveal()
    direct = {
        "ANTHROPIC_BASE_URL": at.claude.url,
        "ANTHROPIC_AUTH_TOKEN": token,
        "ANTHROPIC_CUSTOM_HEADERS": "anthropic-beta: files-api-2025-04-14,oauth-2025-04-20",
    }
    through = {"ANTHROPIC_CUSTOM_HEADERS": "anthropic-beta: files-api-2025-04-14"}
    first = sdk.run(*ACTS, environ=environ(at, **direct))
    second = sdk.run(*ACTS, environ=environ(at, **through), before=executed())
    for act in set(ACTS) - {"limited"}:  # its request-id differs
        assert first.acts[act] == second.acts[act]
    heard = at.claude.requests
    assert len(heard) == 2 * (len(heard) // 2)
    for one, other in zip(heard[: len(heard) // 2], heard[len(heard) // 2 :], strict=True):
        assert compared(one) == compared(other)


def compared(request: dict[str, Any]) -> dict[str, Any]:
    headers = sorted((name, value) for name, value in request["headers"] if name not in NOT_COMPARED)
    return {name: request[name] for name in ("method", "target", "size", "sha256")} | {"headers": headers}


def test_what_a_person_must_do_is_the_message_of_the_sdks_error(at: Desk, sdk: Sdk) -> None:
    """403 permission_error: one request, and the sentence is shown (claude.md)."""
    at.server.tell(end=True)
    at.claude.revoke(at.server.newest)
    came = sdk.run("failure", environ=environ(at), before=executed())
    failure = came.acts["failure"]
    assert failure["status"] == 403
    assert failure["class"] == "PermissionDeniedError"
    assert "aixtiv login anthropic" in failure["message"]
    assert [request["status"] for request in at.claude.requests] == [401]
