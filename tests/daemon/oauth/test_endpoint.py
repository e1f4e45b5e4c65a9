"""Requests to the token endpoint and its neighbours, against the project's own authorization server."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Literal
from urllib.parse import parse_qs, unquote_plus

import msgspec
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import Misconfigured, Unreachable
from aixtivd.oauth import outcomes
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.outcomes import Granted, NeedsSignIn, Refused, Rotated, TryAgain
from aixtivd.oauth.providers import READY
from peers.authority import weather
from peers.authority.weather import Weather
from peers.authorization import AuthorizationServer, Settings
from peers.canned import shelf
from peers.signing import exchange, signed_in, walk

ClientAt = Callable[..., Client]


@pytest.mark.parametrize("auth", ["none", "basic", "post"])
async def test_each_client_authentication_signs_in_and_refreshes(
    endpoint: Endpoint, client_at: ClientAt, auth: Literal["none", "basic", "post"]
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server, auth)
        first = await signed_in(endpoint, client)
        assert first.refresh_token
        assert first.expires_in == 3600
        assert first.scopes == client.scopes
        assert first.id_token
        outcome = await endpoint.refresh(client, first.refresh_token)
        assert isinstance(outcome, Granted)
        assert outcome.tokens.access_token != first.access_token
        assert outcome.tokens.refresh_token != first.refresh_token


async def test_basic_form_encodes_id_and_secret_before_it_joins_them(endpoint: Endpoint, client_at: ClientAt) -> None:
    """RFC 6749 §2.3.1 and appendix B: a secret may hold a colon, a space, a percent sign."""
    async with AuthorizationServer() as server:
        client = client_at(server, client_id="i d:", client_auth="basic", client_secret=Secret("s:e +%é"))
        await endpoint.refresh(client, Secret("rt"))
        heard = server.requests[-1]
        kind, _, credentials = heard.headers["authorization"].partition(" ")
        assert kind == "Basic"
        assert b64decode(credentials) == b"i+d%3A:s%3Ae+%2B%25%C3%A9"
        assert [unquote_plus(part) for part in b64decode(credentials).decode().split(":")] == ["i d:", "s:e +%é"]
        assert "client_id" not in parse_qs(heard.body)


async def test_post_sends_id_and_secret_once_in_the_body(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        await endpoint.refresh(client_at(server, "post"), Secret("rt"))
        heard = server.requests[-1]
        assert parse_qs(heard.body) == {
            "grant_type": ["refresh_token"],
            "refresh_token": ["rt"],
            "client_id": ["post"],
            "client_secret": [server.secret],
        }
        assert "authorization" not in heard.headers


async def test_a_wrong_client_secret_is_misconfigured_and_ends_nothing(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server, "basic")
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        wrong = msgspec.structs.replace(client, client_secret=Secret("other"))
        outcome = await endpoint.refresh(wrong, tokens.refresh_token)
        assert isinstance(outcome, outcomes.Misconfigured)
        assert "invalid_client" in outcome.reason
        assert isinstance(await endpoint.refresh(client, tokens.refresh_token), Granted)


async def test_a_spent_refresh_token_is_reported_as_the_end_of_the_grant(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        first = await signed_in(endpoint, client)
        assert first.refresh_token
        second = await endpoint.refresh(client, first.refresh_token)
        assert isinstance(second, Granted)
        assert second.tokens.refresh_token
        assert isinstance(await endpoint.refresh(client, first.refresh_token), NeedsSignIn)
        assert server.reuses == 1
        assert isinstance(await endpoint.refresh(client, second.tokens.refresh_token), NeedsSignIn)


async def test_a_server_without_rotation_leaves_the_refresh_token_out(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer(Settings(rotate=False)) as server:
        client = client_at(server)
        first = await signed_in(endpoint, client)
        assert first.refresh_token
        for _ in range(2):
            outcome = await endpoint.refresh(client, first.refresh_token)
            assert isinstance(outcome, Granted)
            assert outcome.tokens.refresh_token is None


async def test_a_code_works_once_and_only_with_its_verifier(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        walked = await walk(client)
        wrong = msgspec.structs.replace(walked, verifier=Secret("x" * 43))
        outcome = await exchange(endpoint, client, wrong)
        assert isinstance(outcome, NeedsSignIn)
        assert "PKCE" in outcome.reason

        walked = await walk(client)
        assert isinstance(await exchange(endpoint, client, walked), Granted)
        assert isinstance(await exchange(endpoint, client, walked), NeedsSignIn)


async def test_claude_refreshes_in_json_with_the_beta_header_byte_for_byte(endpoint: Endpoint) -> None:
    async with AuthorizationServer(Settings(claude=True, access_ttl=3600)) as server:
        client = claude_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        assert isinstance(await endpoint.refresh(client, tokens.refresh_token), Granted)

        exchanged, refreshed = server.requests
        assert exchanged.content_type == "application/x-www-form-urlencoded"
        assert "anthropic-beta" not in exchanged.headers
        assert list(parse_qs(exchanged.body)) == [
            "grant_type",
            "redirect_uri",
            "code",
            "code_verifier",
            "state",
            "client_id",
        ]
        token = tokens.refresh_token.reveal()
        assert refreshed.body == f'{{"grant_type":"refresh_token","refresh_token":"{token}","client_id":"native"}}'
        assert refreshed.content_type == "application/json"
        assert refreshed.headers["anthropic-beta"] == "oauth-2025-04-20"
        assert refreshed.headers["user-agent"].startswith("aixtiv/")


async def test_the_state_is_sent_only_where_the_provider_wants_it(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        await signed_in(endpoint, client_at(server))
        assert "state" not in parse_qs(server.requests[-1].body)


SPENT = True
NOT_SPENT = False


@pytest.mark.parametrize(
    ("what", "maybe_spent"),
    [
        (weather.cut("silent"), SPENT),
        (weather.cut("head"), SPENT),
        (weather.cut("body"), SPENT),
        (weather.lost(), SPENT),
        (weather.large(), SPENT),
        (Weather(status=200, headers={"Content-Type": "application/json"}, body='{"access_tok'), SPENT),
        (Weather(status=200, headers={"Content-Type": "application/json"}, body="{}"), SPENT),
        (Weather(without=("access_token", "refresh_token")), SPENT),
        (weather.web_page(), NOT_SPENT),
        (Weather(status=200, headers={"Content-Type": "text/html"}, body="<html>", cut="body"), NOT_SPENT),
        (Weather(status=200, headers={"Content-Type": "text/html"}, body="<html>", padding=2 << 20), NOT_SPENT),
        (Weather(status=503, body="x" * 100, cut="body"), NOT_SPENT),
        (Weather(status=302, headers={"Location": "http://127.0.0.1:1/"}), NOT_SPENT),
        (weather.too_many(), NOT_SPENT),
        (weather.unavailable(), NOT_SPENT),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Weather) else "",
)
async def test_bad_weather_is_tried_again_and_says_whether_the_token_may_be_spent(
    endpoint: Endpoint, client_at: ClientAt, what: Weather, maybe_spent: bool
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        server.set_weather(what)
        outcome = await endpoint.refresh(client, tokens.refresh_token)
        assert isinstance(outcome, TryAgain)
        assert outcome.maybe_spent is maybe_spent
        assert server.refreshes == 1  # nothing was resent behind our back


async def test_a_refresh_token_that_came_without_an_access_token_is_the_one_that_counts(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        server.set_weather(Weather(without=("access_token",)))
        outcome = await endpoint.refresh(client, tokens.refresh_token)
        assert isinstance(outcome, Rotated)
        assert isinstance(await endpoint.refresh(client, outcome.refresh_token), Granted)
        assert server.reuses == 0


async def test_an_answer_that_does_not_come_in_time_may_have_spent_the_token(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        server.set_weather(weather.hanging(spend=True))
        endpoint.timeout = 0.2
        outcome = await endpoint.refresh(client, tokens.refresh_token)
        assert isinstance(outcome, TryAgain)
        assert outcome.maybe_spent
        assert "0.2 seconds" in outcome.reason


async def test_a_slow_answer_is_waited_for(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        server.set_weather(weather.hanging())
        asking = asyncio.ensure_future(endpoint.refresh(client, tokens.refresh_token))
        await server.until(hanging=1)
        assert not asking.done()
        server.release()
        assert isinstance(await asking, Granted)


async def test_a_server_that_is_not_there_has_spent_nothing(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
    outcome = await endpoint.refresh(client, Secret("rt"))
    assert isinstance(outcome, TryAgain)
    assert not outcome.maybe_spent
    assert "cannot be reached" in outcome.reason


async def test_the_answers_without_lifetime_or_refresh_token_are_granted(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server)
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        server.set_weather(weather.no_lifetime(), weather.no_new_refresh_token())
        outcome = await endpoint.refresh(client, tokens.refresh_token)
        assert isinstance(outcome, Granted)
        assert outcome.tokens.expires_in is None
        assert outcome.tokens.refresh_token
        outcome = await endpoint.refresh(client, outcome.tokens.refresh_token)
        assert isinstance(outcome, Granted)
        assert outcome.tokens.refresh_token is None


async def test_a_provider_that_quotes_the_token_in_its_error_does_not_make_us_show_it(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        server.set_weather(weather.says("access_denied", description="no use for rt-very-secret here"))
        outcome = await endpoint.refresh(client_at(server), Secret("rt-very-secret"))
        assert isinstance(outcome, Refused)
        assert "very-secret" not in outcome.reason
        assert "no use for … here" in outcome.reason


async def test_a_provider_that_quotes_the_whole_request_shows_no_secret_of_it(endpoint: Endpoint) -> None:
    """Url-encoded as in the form, in base64 as in the Basic header (attack M11)."""
    form = "grant_type=refresh_token&refresh_token=rt%2Bvery%2Fsecret%3Dvalue"
    basic = b64encode(b"cid:cs%2Fvery+secret").decode()
    async with shelf() as there:
        said = {"error": "invalid_request", "error_description": f"body {form} of Basic {basic}"}
        there.put("/t", said, 400)
        client = Client(
            provider="p",
            client_id="cid",
            client_secret=Secret("cs/very secret"),
            client_auth="basic",
            token_endpoint=f"{there.url}/t",
        )
        outcome = await endpoint.refresh(client, Secret("rt+very/secret=value"))
        assert there.headers[0]["Authorization"] == f"Basic {basic}"
    assert isinstance(outcome, Refused)
    assert outcome.reason.endswith("body grant_type=refresh_token&refresh_token=… of Basic …")


async def test_a_token_endpoint_without_tls_is_misconfigured_and_not_asked(endpoint: Endpoint) -> None:
    client = Client(provider="p", client_id="c", token_endpoint="http://provider.example/token")
    outcome = await endpoint.refresh(client, Secret("rt"))
    assert isinstance(outcome, outcomes.Misconfigured)
    assert "plain http" in outcome.reason


async def test_revocation_ends_the_grant_and_introspection_sees_it(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        client = client_at(server, "basic")
        tokens = await signed_in(endpoint, client)
        assert tokens.refresh_token
        assert await endpoint.introspect(client, tokens.access_token) is True
        assert not await endpoint.revoke(client, tokens.refresh_token, "refresh_token")
        assert await endpoint.introspect(client, tokens.access_token) is False
        assert isinstance(await endpoint.refresh(client, tokens.refresh_token), NeedsSignIn)


async def test_what_a_provider_does_not_have_is_said_and_not_asked(endpoint: Endpoint) -> None:
    client = Client(provider="p", client_id="c", token_endpoint="https://provider.example/token")
    assert await endpoint.introspect(client, Secret("at")) is None
    assert "no revocation endpoint" in await endpoint.revoke(client, Secret("at"), "access_token")


async def test_a_revocation_that_fails_says_why(endpoint: Endpoint, client_at: ClientAt) -> None:
    async with AuthorizationServer() as server:
        wrong = client_at(server, "basic", client_secret=Secret("other"))
        assert "invalid_client" in await endpoint.revoke(wrong, Secret("at"), "access_token")
        away = client_at(server, revocation_endpoint=f"{server.issuer}/nowhere")
        assert "404" in await endpoint.revoke(away, Secret("at"), "access_token")
    assert "cannot be reached" in await endpoint.revoke(away, Secret("at"), "access_token")


async def test_a_web_page_in_place_of_the_revocation_confirms_nothing(endpoint: Endpoint) -> None:
    async with shelf() as there:
        there.put("/revoke", "<html>Welcome", Content_Type="text/html")
        client = Client(
            provider="p", client_id="c", token_endpoint=f"{there.url}/t", revocation_endpoint=f"{there.url}/revoke"
        )
        assert await endpoint.revoke(client, Secret("at"), "access_token")
        there.put("/revoke")
        assert not await endpoint.revoke(client, Secret("at"), "access_token")


async def test_an_introspection_that_fails_raises_what_can_be_done_about_it(
    endpoint: Endpoint, client_at: ClientAt
) -> None:
    async with AuthorizationServer() as server:
        wrong = client_at(server, "basic", client_secret=Secret("other"))
        with pytest.raises(Misconfigured, match="invalid_client"):
            await endpoint.introspect(wrong, Secret("at"))
        elsewhere = client_at(server, introspection_endpoint=f"{server.issuer}/nowhere")
        with pytest.raises(Unreachable):
            await endpoint.introspect(elsewhere, Secret("at"))


def claude_at(server: AuthorizationServer) -> Client:
    """The shipped data, with only the addresses of this server in place of Anthropic's."""
    ready = READY["anthropic"]
    return Client(
        provider="anthropic",
        client_id="native",
        authorization_endpoint=f"{server.issuer}/authorize",
        token_endpoint=f"{server.issuer}/token",
        scopes=ready.scopes,
        quirks=ready.quirks,
    )
