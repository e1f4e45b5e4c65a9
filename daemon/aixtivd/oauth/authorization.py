"""The authorization request a browser carries, and what must hold of the response (RFC 6749 §4.1, 7636, 9207)."""

import hmac
import re
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInFailed
from aixtivd.oauth.client import GUID, TENANT, Client
from aixtivd.oauth.web import check_url


def new_verifier() -> Secret:
    """A PKCE code verifier of 256 random bits (RFC 7636 §4.1)."""
    return Secret(secrets.token_urlsafe(32))


def new_state() -> str:
    """256 random bits, also for `nonce`."""
    return secrets.token_urlsafe(32)


new_nonce = new_state


def authorization_url(
    client: Client, redirect_uri: str, state: str, nonce: str, verifier: Secret, scopes: Iterable[str]
) -> str:
    """Where the browser goes: code flow, PKCE S256 always, `nonce` with OpenID. Raises Misconfigured."""
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - heavy: loads when first needed
    from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - heavy: loads when first needed

    scopes = tuple(scopes)
    check_url(client.authorization_endpoint)
    extra = {
        "code_challenge": create_s256_code_challenge(verifier.reveal()),
        "code_challenge_method": "S256",
    }
    if "openid" in scopes:
        extra["nonce"] = nonce
    if client.resource:
        extra["resource"] = client.resource
    url: str = prepare_grant_uri(
        client.authorization_endpoint,
        client.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=" ".join(scopes),
        state=state,
        **(_parameters(client, scopes) | extra),
    )
    return url


def _parameters(client: Client, scopes: tuple[str, ...]) -> dict[str, str]:
    """The provider's own, and `prompt=consent` where OpenID Connect Core §11 wants it for a refresh token.

    An empty value takes a parameter out. Of a resource's own server nobody knows whether it speaks OpenID.
    """
    consents = "offline_access" in scopes and ("openid" in scopes or client.resource)
    wanted = {"prompt": "consent"} if consents else {}
    wanted |= client.quirks.authorize_parameters
    reserved = {"response_type", "client_id", "redirect_uri", "scope", "state"}
    return {name: value for name, value in wanted.items() if value and name not in reserved}


def same_state(theirs: str, ours: str) -> bool:
    return bool(ours) and hmac.compare_digest(theirs.encode(), ours.encode())


def check_issuer(client: Client, iss: str) -> None:
    """RFC 9207 §2.4: an `iss` that comes must be the issuer's, and one that was announced must come.

    Where no issuer is known (plain OAuth), it must at least be of the server that gets the code: else the code is
    another server's, and would be carried to the wrong one (a mix-up).

    Raises SignInFailed. A pasted lone code has no `iss` to check: do not ask for it there.
    """
    if not iss:
        if client.quirks.expects_iss:
            raise SignInFailed(f"the answer of {client.provider} does not say which issuer it is from")
        return
    if not client.issuer:
        if _server(iss) != _server(client.token_endpoint):
            raise SignInFailed(f"the answer is from another server than the one that {client.provider}'s codes go to")
    elif not _is_issuer(client.issuer, iss):
        raise SignInFailed(f"the answer is from another issuer than {client.issuer}")


def _is_issuer(issuer: str, iss: str) -> bool:
    """Equal; Microsoft's issuer for any tenant stands for each of them, and nothing else with braces does."""
    pattern = re.escape(issuer).replace(re.escape(TENANT), GUID, 1)
    return re.fullmatch(pattern, iss) is not None


def _server(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc.lower()
