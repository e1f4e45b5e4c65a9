"""Identity tokens as assertions: their form and life; and the two requests that need no person, as they are sent."""

import json
import time
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from aixtiv_protocol.requests import ClientSettings, Federation
from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.config import ProviderConfig
from aixtivd.errors import NoProvider
from aixtivd.oauth.client import Client
from aixtivd.oauth.clients import client_for
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.federation import LONGEST, as_assertion, facts, good_for
from aixtivd.oauth.outcomes import Granted, Misconfigured, NeedsSignIn
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Web
from peers.authorization import AuthorizationServer, Settings
from peers.signing import signed_in

KEY = OctKey.import_key("a key that is long enough for a test")


def token(**claims: float | str) -> Secret:
    return Secret(jwt.encode({"alg": "HS256"}, dict(claims), KEY))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a.b.c", True),
        ("  a.b.c\n", True),
        ("", False),
        ("a.b", False),
        ("a.b.", False),
        ("a.b.c.d", False),
        ("a.b.c\na.b.c", False),
        ("a.b.ü", False),
        ("<html>a.b.c", False),
        (f"a.b.{'c' * (LONGEST - 4)}", True),
        (f"a.b.{'c' * (LONGEST - 3)}", False),
    ],
)
def test_an_assertion_is_a_signed_jwt_of_16_kib_at_most(text: str, good: bool) -> None:
    assert (as_assertion(text) is not None) is good


@pytest.mark.parametrize(
    ("claims", "left"),
    [
        ({"iat": 0.5, "exp": 1000}, 1000 - 60 - 100),
        ({"exp": 1000}, 1000 - 60 - 100),
        ({"iat": 900, "exp": 1000}, 1000 - 50 - 100),
        ({"iat": 1000, "exp": 900}, 900 - 60 - 100),
        ({}, float("inf")),
    ],
)
def test_an_identity_is_not_shown_in_its_last_minute_or_half_of_its_life(claims: dict[str, float], left: float) -> None:
    assert good_for(token(**claims), 100) == left


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "a.!!!.c", "a.bnVsbA.c", "a.eyJleHAiOiJ4In0.c"])
def test_what_cannot_be_read_is_left_to_the_server_it_is_shown_to(text: str) -> None:
    assert good_for(Secret(text), 0) == float("inf")


async def at_claude(web: Web, server: AuthorizationServer) -> Client:
    settings = ClientSettings(token_endpoint=f"{server.issuer}/token", client_id="of-a-person")
    return await client_for(web, "anthropic", None, settings, "federation")


async def test_anthropic_is_sent_json_with_both_flags_and_nothing_of_a_client(web: Web) -> None:
    async with (
        AuthorizationServer() as issuer,
        AuthorizationServer(Settings(claude=True, trusts=issuer.issuer)) as claude,
    ):
        endpoint = Endpoint(web, SystemClock())
        identity = (await signed_in(endpoint, await person(web, issuer))).id_token
        assert identity
        source = Federation(rule="r", organization="o", service_account="s")
        outcome = await endpoint.federate(await at_claude(web, claude), identity, facts(source))
        assert isinstance(outcome, Granted)
        (heard,) = claude.requests
        assert json.loads(heard.body) == {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": identity.reveal(),
            "federation_rule_id": "r",
            "organization_id": "o",
            "service_account_id": "s",
        }
        assert heard.headers["anthropic-beta"] == "oauth-2025-04-20,oidc-federation-2026-04-01"
        assert "authorization" not in heard.headers


@pytest.mark.parametrize("wrong", ["signature", "issuer", "expired"])
async def test_an_assertion_that_does_not_count_is_no_good(web: Web, wrong: str) -> None:
    async with (
        AuthorizationServer() as issuer,
        AuthorizationServer(Settings(claude=True, trusts=issuer.issuer)) as claude,
    ):
        now = int(time.time())
        key = AuthorizationServer().endpoints.key if wrong == "signature" else issuer.endpoints.key
        claims = {
            "iss": "https://other.example" if wrong == "issuer" else issuer.issuer,
            "sub": "ada",
            "exp": now - 1 if wrong == "expired" else now + 60,
        }
        assertion = Secret(jwt.encode({"alg": "RS256", "kid": "peer"}, claims, key))
        endpoint = Endpoint(web, SystemClock())
        outcome = await endpoint.federate(
            await at_claude(web, claude), assertion, facts(Federation(rule="r", organization="o"))
        )
        assert isinstance(outcome, NeedsSignIn)
        assert assertion.reveal() not in outcome.reason


async def test_a_client_asks_for_its_own_token_with_its_scopes(web: Web) -> None:
    async with AuthorizationServer() as server:
        settings = ClientSettings(issuer=server.issuer, client_id="post", client_secret=Secret(server.secret))
        table = ProviderConfig(scopes=("api:read",), client_auth="post")
        client = await client_for(web, "robot", table, settings, "client-credentials")
        endpoint = Endpoint(web, SystemClock())
        outcome = await endpoint.client_credentials(client)
        assert isinstance(outcome, Granted)
        assert outcome.tokens.refresh_token is None
        (heard,) = server.requests
        said = parse_qs(heard.body)
        assert (said["grant_type"], said["scope"]) == (["client_credentials"], ["api:read"])
        server.endpoints.secret = "another"
        assert isinstance(await endpoint.client_credentials(client), Misconfigured)


async def test_a_client_of_its_own_needs_no_page_to_sign_in_at_but_a_secret(web: Web) -> None:
    table = ProviderConfig(token_endpoint="https://corp.example/token", client_id="c")
    with pytest.raises(NoProvider, match="only to one that has a secret"):
        await client_for(web, "corp", table, ClientSettings(), "client-credentials")
    client = await client_for(web, "corp", table, ClientSettings(client_secret=Secret("s")), "client-credentials")
    assert (client.authorization_endpoint, client.scopes) == ("", ())


async def test_a_persons_scopes_are_not_asked_for_without_a_person(web: Web) -> None:
    client = await client_for(web, "anthropic", None, ClientSettings(), "federation")
    assert client.token_endpoint == READY["anthropic"].token_endpoint
    assert (client.client_id, client.client_auth, client.scopes) == ("", "none", ())


async def person(web: Web, issuer: AuthorizationServer) -> Client:
    settings = ClientSettings(issuer=issuer.issuer, client_id="native")
    return await client_for(web, "corp", None, settings)
