"""The device grant: what is believed of a code, what every answer to a poll means, and how long the next one waits."""

import json
from pathlib import Path
from typing import Any

import pytest
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.config import ProviderConfig
from aixtivd.errors import AixtivError, Misconfigured, Refused, Unreachable
from aixtivd.oauth import outcomes
from aixtivd.oauth.client import Client, Quirks
from aixtivd.oauth.clients import client_for, device_endpoint
from aixtivd.oauth.device import DeviceCode, Over, Polled, Waiting, ask_for_code, next_pause, poll, sort
from aixtivd.oauth.endpoint import DEVICE_CODE, Endpoint
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Answer, Web
from peers.authorization import AuthorizationServer, Settings
from peers.canned import Shelf, raw, shelf

CLOCK = SystemClock()
GOOD: dict[str, Any] = {
    "device_code": "made-up-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example.org/device",
    "verification_uri_complete": "https://id.example.org/device?user_code=WDJB-MJHT",
    "expires_in": 900,
    "interval": 7,
}
PENDING = {"error": "authorization_pending"}


def at(url: str, **more: Any) -> Client:
    known = {
        "client_id": "cid",
        "token_endpoint": f"{url}/token",
        "device_authorization_endpoint": f"{url}/code",
        "scopes": ("a", "b"),
    }
    return Client(provider="peer", **(known | more))


async def code_for(endpoint: Endpoint, there: Shelf, body: Any, status: int = 200, **headers: str) -> DeviceCode:
    there.put("/code", body, status, **headers)
    return await ask_for_code(endpoint, at(there.url), CLOCK)


def answered(body: Any, status: int = 400, content_type: str = "application/json") -> Answer:
    return Answer(status, {"content-type": content_type}, json.dumps(body).encode())


def sorted_as(body: Any, status: int = 400, **quirks: Any) -> Polled:
    return sort(answered(body, status), at("https://id.example.org", quirks=Quirks(**quirks)), 0.0)


def test_the_grant_has_the_name_that_authlib_knows_it_by() -> None:
    assert DEVICE_CODE == DEVICE_CODE_GRANT_TYPE


async def test_a_code_is_all_that_its_answer_says(endpoint: Endpoint) -> None:
    async with shelf() as there:
        code = await code_for(endpoint, there, GOOD)
        assert code.device_code == Secret("made-up-device-code")
        assert (code.user_code, code.expires_in, code.interval) == ("WDJB-MJHT", 900, 7)
        assert code.verification_uri_complete.endswith("?user_code=WDJB-MJHT")
        assert "made-up" not in repr(code)


async def test_a_client_shows_itself_where_it_asks_for_a_code_as_it_does_elsewhere(endpoint: Endpoint) -> None:
    """RFC 8628 §3.1: client authentication applies."""
    async with AuthorizationServer(Settings(device=True)) as server:
        for auth in ("none", "basic", "post"):
            client = at(
                server.issuer,
                client_id="native" if auth == "none" else auth,
                client_auth=auth,
                client_secret=None if auth == "none" else Secret(server.secret),
                device_authorization_endpoint=f"{server.issuer}/device_authorization",
            )
            code = await ask_for_code(endpoint, client, CLOCK)
            assert await poll(endpoint, client, code.device_code, CLOCK) == Waiting()
            assert server.endpoints.devices.answer(code.user_code, "ada")
            assert isinstance(await poll(endpoint, client, code.device_code, CLOCK), outcomes.Granted)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"interval": None}, ("interval", 5)),
        ({"interval": "9"}, ("interval", 9)),
        ({"interval": 0}, ("interval", 1)),
        ({"interval": True}, ("interval", 5)),
        ({"interval": "soon"}, ("interval", 5)),
        ({"interval": float("nan")}, ("interval", 5)),
        ({"expires_in": None}, ("expires_in", 600)),
        ({"expires_in": 1e300}, ("expires_in", 86400)),
        ({"user_code": " 123 456 789 "}, ("user_code", "123 456 789")),
        ({"verification_uri": None, "verification_url": "https://google.example/device"}, ("verification_uri", None)),
        ({"verification_uri_complete": "javascript:alert(1)"}, ("verification_uri_complete", "")),
        ({"verification_uri_complete": None}, ("verification_uri_complete", "")),
    ],
)
async def test_a_sloppy_answer_is_read_for_what_it_is_worth(
    endpoint: Endpoint, changed: dict[str, Any], expected: tuple[str, Any]
) -> None:
    async with shelf() as there:
        body = json.dumps({name: value for name, value in (GOOD | changed).items() if value is not None})
        code = await code_for(endpoint, there, body, Content_Type="application/json")
        name, value = expected
        assert getattr(code, name) == (changed["verification_url"] if value is None else value)


@pytest.mark.parametrize(
    "changed",
    [
        {"device_code": None},
        {"device_code": 7},
        {"user_code": None},
        {"user_code": ""},
        {"user_code": "\x1b[2J"},
        {"user_code": "x" * 65},
        {"verification_uri": None},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://id.example.org/device"},
        {"verification_uri": "https://user@id.example.org/"},
        {"verification_uri": f"https://id.example.org/{'x' * 1024}"},
    ],
)
async def test_a_code_that_could_not_be_shown_or_polled_for_is_none(
    endpoint: Endpoint, changed: dict[str, Any]
) -> None:
    async with shelf() as there:
        with pytest.raises(Refused, match="without a code"):
            await code_for(endpoint, there, {k: v for k, v in (GOOD | changed).items() if v is not None})


@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ({"error": "unauthorized_client"}, 400, Misconfigured, "unauthorized_client"),
        ({"error": "invalid_client", "error_description": "Only clients of type TV"}, 401, Misconfigured, "TV"),
        ({"error": "device_flow_disabled"}, 200, Refused, "device_flow_disabled"),
        ({"error": "invalid_grant"}, 400, Refused, "invalid_grant"),
        ("<html>not found", 404, Refused, "404"),
        ("", 302, Refused, "redirect"),
        ("", 503, Unreachable, "503"),
        ({"error": "slow_down"}, 429, Unreachable, "429"),
        ({"access_token": "at"}, 200, Refused, "without a code"),
        ("[]", 200, Refused, "without a code"),
    ],
)
async def test_why_there_is_no_code_is_one_sentence(
    endpoint: Endpoint, body: Any, status: int, kind: type[AixtivError], words: str
) -> None:
    async with shelf() as there:
        with pytest.raises(kind, match=words) as failed:
            await code_for(endpoint, there, body, status)
        assert type(failed.value) is kind


async def test_nobody_there_is_told_apart(endpoint: Endpoint) -> None:
    async def hang_up(_: Any, writer: Any) -> None:
        writer.close()

    async with raw(hang_up) as port:
        client = at(f"http://127.0.0.1:{port}")
        with pytest.raises(Unreachable):
            await ask_for_code(endpoint, client, CLOCK)
        assert isinstance(await poll(endpoint, client, Secret("x"), CLOCK), outcomes.TryAgain)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (PENDING, 400, Waiting()),
        (PENDING, 428, Waiting()),  # Google
        (PENDING, 200, Waiting()),  # GitHub
        ({"error": "slow_down"}, 400, Waiting(slower=True)),
        ({"error": "slow_down"}, 403, Waiting(slower=True)),  # Google
        ({"error": "slow_down", "interval": 10}, 200, Waiting(slower=True, interval=10)),  # GitHub
        ({"error": "slow_down", "interval": "x"}, 400, Waiting(slower=True)),
    ],
)
def test_whoever_has_to_wait_is_told_so_whatever_the_status(body: Any, status: int, expected: Polled) -> None:
    assert sorted_as(body, status) == expected


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": "expired_token"}, 400, Over),
        ({"error": "access_denied"}, 403, Over),
        ({"error": "invalid_grant"}, 400, outcomes.NeedsSignIn),
        ({"error": "invalid_client"}, 401, outcomes.Misconfigured),
        ({"error": "unsupported_grant_type"}, 400, outcomes.Misconfigured),
        ({"error": "incorrect_device_code"}, 200, outcomes.Refused),
        ({"error": "something_new"}, 400, outcomes.Refused),
        ({"access_token": "at"}, 200, outcomes.Granted),
        ({"access_token": "at", "error": "authorization_pending"}, 200, outcomes.Granted),
        ({"refresh_token": "rt"}, 200, outcomes.Rotated),
        ({}, 500, outcomes.TryAgain),
        ({}, 429, outcomes.TryAgain),
        ({}, 404, outcomes.TryAgain),
        ([], 200, outcomes.TryAgain),
    ],
)
def test_every_other_answer_is_what_it_is_anywhere(body: Any, status: int, kind: type) -> None:
    assert isinstance(sorted_as(body, status), kind)


def test_a_web_page_says_nothing_about_the_code() -> None:
    page = answered(PENDING, 200, "text/html")
    assert isinstance(sort(page, at("https://id.example.org"), 0.0), outcomes.TryAgain)


def test_microsoft_says_declined_and_means_denied() -> None:
    names = READY["microsoft"].quirks.error_names
    denied = sorted_as({"error": "authorization_declined", "error_description": "AADSTS65004"}, error_names=names)
    assert isinstance(denied, Over)
    assert (denied.why, "AADSTS65004" in denied.reason) == ("denied", True)


def test_no_answer_quotes_the_device_code() -> None:
    code = Secret("made-up-device-code")
    body = {"error": "access_denied", "error_description": "made-up-device-code was denied"}
    denied = sort(answered(body), at("https://id.example.org"), 0.0, (code,))
    assert isinstance(denied, Over)
    assert "made-up" not in denied.reason


AGAIN = outcomes.TryAgain(reason="x")


@pytest.mark.parametrize(
    ("before", "polled", "usual", "expected"),
    [
        (5, Waiting(), 5, (5, 5)),
        (5, Waiting(slower=True), 5, (10, 10)),  # RFC 8628 §3.5: five seconds more, for good
        (10, Waiting(slower=True), 10, (15, 15)),
        (5, Waiting(slower=True, interval=30), 5, (30, 30)),
        (5, Waiting(slower=True, interval=6), 5, (10, 10)),
        (5, AGAIN, 5, (10, 5)),  # trouble doubles it, and an answer ends that
        (40, AGAIN, 5, (60, 5)),
        (60, AGAIN, 5, (60, 5)),
        (40, Waiting(), 5, (5, 5)),
        (90, AGAIN, 90, (90, 90)),  # never sooner than the server wants
        (5, outcomes.TryAgain(reason="x", retry_after=30), 5, (30, 5)),
        (5, outcomes.TryAgain(reason="x", retry_after=9999), 5, (60, 5)),
    ],
)
def test_the_next_poll_waits(
    before: float, polled: Waiting | outcomes.TryAgain, usual: float, expected: tuple[float, float]
) -> None:
    assert next_pause(before, polled, usual) == expected


@pytest.mark.parametrize("name", ["github", "gitlab", "google", "microsoft"])
async def test_an_account_of_before_has_what_is_known_of_its_provider_now(web: Web, name: str) -> None:
    ready = READY[name]
    old = Client(provider=name, client_id="c", issuer=ready.issuer, token_endpoint=ready.token_endpoint)
    assert await device_endpoint(web, old) == ready.device_authorization_endpoint
    elsewhere = Client(provider=name, client_id="c", token_endpoint="https://ghe.example.org/token")
    assert await device_endpoint(web, elsewhere) == ""


async def test_an_account_of_before_is_told_by_its_issuer(web: Web) -> None:
    async with AuthorizationServer(Settings(device=True)) as server:
        old = Client(provider="corp", client_id="c", issuer=server.issuer, token_endpoint=f"{server.issuer}/token")
        assert await device_endpoint(web, old) == f"{server.issuer}/device_authorization"
        server.settings.device = False
        assert await device_endpoint(web, old) == ""


async def test_discovery_and_the_config_tell_where_codes_are_given(web: Web) -> None:
    async with AuthorizationServer(Settings(device=True)) as server:
        asked = ClientSettings(issuer=server.issuer, client_id="native")
        found = await client_for(web, "corp", None, asked)
        assert found.device_authorization_endpoint == f"{server.issuer}/device_authorization"
        config = ProviderConfig(issuer=server.issuer, device_authorization_endpoint=f"{server.issuer}/elsewhere")
        told = await client_for(web, "corp", config, asked)
        assert told.device_authorization_endpoint == f"{server.issuer}/elsewhere"


@pytest.mark.parametrize(
    ("named", "kept"),
    [("", True), ("https://corp.example/codes", True), ("https://evil.example/codes", False)],
)
async def test_the_configs_secret_is_not_shown_where_a_request_asks_for_a_code(
    web: Web, folder: Path, named: str, *, kept: bool
) -> None:
    """Asking for a code shows the client's secret, and anybody who may sign in says where (RFC 8628 §3.1)."""
    (folder / "secret").write_text("made-up")
    config = ProviderConfig(
        client_id="c",
        client_secret_file=str(folder / "secret"),
        authorization_endpoint="https://corp.example/a",
        token_endpoint="https://corp.example/t",
    )
    client = await client_for(web, "corp", config, ClientSettings(device_authorization_endpoint=named))
    assert (client.client_secret == Secret("made-up")) is kept
