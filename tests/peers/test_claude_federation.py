"""The stand-in's token endpoint exchanges identity tokens, and nothing that is less than right."""

import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from joserfc import jwt

from peers.authorization import AuthorizationServer
from peers.claude import Claude


@pytest.fixture
async def trusting() -> AsyncIterator[tuple[Claude, Callable[..., str]]]:
    """A Claude that trusts an issuer, and how to have that issuer sign claims."""
    async with AuthorizationServer() as issuer, Claude(trust=issuer.issuer) as claude:

        def signed(**claims: object) -> str:
            said = {"iss": issuer.issuer, "sub": "ada", "exp": time.time() + 60} | claims
            return jwt.encode({"alg": "RS256", "kid": "peer"}, said, issuer.endpoints.key)

        yield claude, signed


BOTH = {"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"}


async def exchanged(claude: Claude, headers: dict[str, str], **said: str) -> dict[str, str]:
    document = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "federation_rule_id": "fdrl_1",
        "organization_id": "org",
    }
    url = f"{claude.url}/v1/oauth/token"
    async with aiohttp.ClientSession() as http, http.post(url, json=document | said, headers=headers) as answer:
        came: dict[str, str] = await answer.json()
    return came


async def test_an_identity_token_is_exchanged_for_one_that_claude_takes(
    trusting: tuple[Claude, Callable[..., str]],
) -> None:
    claude, signed = trusting
    token = (await exchanged(claude, BOTH, assertion=signed()))["access_token"]
    claude.credentials.accept_only(token)
    headers = {
        "authorization": f"Bearer {token}",
        "anthropic-beta": "oauth-2025-04-20",
        "anthropic-version": "2023-06-01",
    }
    url = f"{claude.url}/v1/models"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        assert answer.status == 200
    assert claude.federation.subjects == ["ada"]


@pytest.mark.parametrize(
    ("headers", "claims", "more", "error"),
    [
        (BOTH, {"iss": "https://elsewhere.test"}, {}, "invalid_grant"),
        (BOTH, {"exp": 1}, {}, "invalid_grant"),
        ({"anthropic-beta": "oauth-2025-04-20"}, {}, {}, "invalid_request"),
        (BOTH | {"x-api-key": "sk-ant-api03-x"}, {}, {}, "invalid_request"),
        (BOTH, {}, {"organization_id": ""}, "invalid_request"),
        (BOTH, {}, {"refresh_token": "x"}, "invalid_request"),
        (BOTH, {"x": "x" * 20_000}, {}, "invalid_request"),
        (BOTH, {}, {"grant_type": "refresh_token"}, "unsupported_grant_type"),
        (BOTH, {}, {"assertion": "not.a.jwt"}, "invalid_grant"),
    ],
)
async def test_what_is_not_claudes_exchange_is_refused(
    trusting: tuple[Claude, Callable[..., str]],
    headers: dict[str, str],
    claims: dict[str, object],
    more: dict[str, str],
    error: str,
) -> None:
    claude, signed = trusting
    assert (await exchanged(claude, headers, **{"assertion": signed(**claims)} | more))["error"] == error
    assert not claude.federation.issued
