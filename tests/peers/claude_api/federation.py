"""Claude's token endpoint as far as federation goes: an issuer's identity token for one of Claude's (RFC 7523).

It is as strict as claude.md: JSON of exactly these fields, both beta flags, no credential, at most 16 KiB of assertion.
"""

import json
import secrets
import time
from typing import Any, Final

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from peers.claude_api.heard import Heard
from peers.claude_api.rules import FLAG, TOKEN, Credentials

PATH: Final = "/v1/oauth/token"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FLAGS: Final = {FLAG, "oidc-federation-2026-04-01"}
_REQUIRED: Final = {"grant_type", "assertion", "federation_rule_id", "organization_id"}
_ALLOWED: Final = _REQUIRED | {"service_account_id", "workspace_id"}
_LARGEST: Final = 16 * 1024  # bytes of assertion


class NotExchanged(Exception):
    """An OAuth error (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.document = {"error": error, "error_description": description}


class Federation:
    """`issuer`: whose identity tokens are taken; empty: there is no such endpoint. `lifetime`: seconds of a token."""

    def __init__(self, issuer: str = "", lifetime: int = 3600) -> None:
        self.issuer = issuer
        self.lifetime = lifetime
        self.issued: list[str] = []  # tokens, the newest last
        self.subjects: list[str] = []  # for whom they were

    async def exchange(self, heard: Heard, credentials: Credentials) -> dict[str, Any]:
        said = _asked(heard)
        claims = await self._checked(said["assertion"])
        token = f"{TOKEN}{secrets.token_urlsafe(24)}"
        credentials.accept(token, self.lifetime)
        self.issued.append(token)
        self.subjects.append(str(claims["sub"]))
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}

    async def _checked(self, assertion: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(assertion, await self._keys(), algorithms=["RS256", "ES256", "PS256"]).claims
        except (JoseError, ValueError) as error:
            raise NotExchanged("invalid_grant", f"the assertion is not a JWT of ours: {error}") from None
        if claims.get("iss") != self.issuer or claims.get("exp", 0) < time.time() or not claims.get("sub"):
            raise NotExchanged("invalid_grant", "the assertion is somebody else's, expired or for nobody")
        return claims

    async def _keys(self) -> KeySet:
        """Fetched anew each time, as no test exchanges often."""
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            async with http.get(f"{self.issuer}/.well-known/openid-configuration") as answer:
                metadata = await answer.json()
            async with http.get(metadata["jwks_uri"]) as answer:
                return KeySet.import_key_set(await answer.json())


def _asked(heard: Heard) -> dict[str, str]:
    if heard.method != "POST" or heard.header("content-type").partition(";")[0] != "application/json":
        raise NotExchanged("invalid_request", "this grant is a POST of JSON")
    if {flag.strip() for flag in heard.header("anthropic-beta").split(",")} != FLAGS:
        raise NotExchanged("invalid_request", f"anthropic-beta is exactly {', '.join(sorted(FLAGS))} here")
    if heard.credential:
        raise NotExchanged("invalid_request", "no credential but the assertion is expected")
    try:
        said = json.loads(heard.body)
    except ValueError:
        raise NotExchanged("invalid_request", "not JSON") from None
    if not isinstance(said, dict) or not _REQUIRED <= set(said) <= _ALLOWED or not all(said.values()):
        raise NotExchanged("invalid_request", f"expected {', '.join(sorted(_REQUIRED))}, and none of them empty")
    if said["grant_type"] != GRANT:
        raise NotExchanged("unsupported_grant_type", "only jwt-bearer")
    if len(said["assertion"]) > _LARGEST:
        raise NotExchanged("invalid_request", "the assertion is longer than 16 KiB")
    return said
