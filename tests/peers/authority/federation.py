"""What the server gives without a person: for an identity token of an issuer it trusts, and to a client itself."""

import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from peers.authority.grants import Asked, Refusal, Settings

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
BETAS: Final = {"oauth-2025-04-20", "oidc-federation-2026-04-01"}
LONGEST: Final = 16 * 1024

_CLAUDE_NEEDS: Final = {"grant_type", "assertion", "federation_rule_id", "organization_id"}
_CLAUDE_TAKES: Final = _CLAUDE_NEEDS | {"service_account_id", "workspace_id"}


async def identified(request: web.Request, said: Mapping[str, str], settings: Settings) -> Asked:
    """Who the assertion is about (RFC 7523 §3). Raises Refusal."""
    if settings.claude:
        _check_claude(request, said)
    elif request.content_type != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "this endpoint wants a form")
    assertion = said.get("assertion", "")
    if not assertion or len(assertion) > LONGEST:
        raise Refusal("invalid_request", "assertion is missing or too long")
    claims = await _verified(assertion, settings.trusts)
    if claims.get("iss") != settings.trusts or not claims.get("sub"):
        raise Refusal("invalid_grant", "assertion is from another issuer")
    if float(claims.get("exp", 0)) <= time.time():
        raise Refusal("invalid_grant", "assertion has expired")
    return lone(str(claims["sub"]), said.get("client_id", ""), said.get("scope", ""))


def lone(subject: str, client_id: str, scope: str) -> Asked:
    """As if somebody had consented, whom nobody asked."""
    return Asked(
        client_id=client_id,
        redirect_uri="",
        scopes=tuple(scope.split()),
        state="",
        nonce="",
        challenge="",
        subject=subject,
    )


def _check_claude(request: web.Request, said: Mapping[str, str]) -> None:
    if request.content_type != "application/json" or not _CLAUDE_NEEDS <= set(said) <= _CLAUDE_TAKES:
        raise Refusal("invalid_request", "this endpoint wants JSON of a rule, an organization and an assertion")
    if not set(request.headers.get("anthropic-beta", "").split(",")) >= BETAS:
        raise Refusal("invalid_request", "anthropic-beta is missing")
    if "Authorization" in request.headers:
        raise Refusal("invalid_request", "an assertion authenticates by itself")


async def _verified(assertion: str, issuer: str) -> dict[str, Any]:
    if not issuer:
        raise Refusal("unauthorized_client", "no issuer is trusted here")
    async with aiohttp.ClientSession() as session, session.get(f"{issuer}/jwks") as answer:
        keys = KeySet.import_key_set(await answer.json())
    try:
        return dict(jwt.decode(assertion, keys, algorithms=["RS256"]).claims)
    except (JoseError, ValueError):
        raise Refusal("invalid_grant", "assertion is not signed by its issuer") from None
