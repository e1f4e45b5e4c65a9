"""What an issuer publishes about itself (OpenID Connect Discovery 1.0 §4, RFC 8414)."""

from typing import Final

import msgspec
from msgspec import Struct

from aixtivd.errors import Misconfigured, NoProvider, Unreachable
from aixtivd.oauth.web import Answer, Web, check_url, may_be_loopback

_CONFIGURATION: Final = "openid-configuration"
_SERVER: Final = "oauth-authorization-server"


class Metadata(Struct, frozen=True, kw_only=True):
    """The fields aixtiv uses; an empty one is not published. Unknown ones are ignored, as RFC 8414 §2 says."""

    issuer: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    device_authorization_endpoint: str = ""  # RFC 8628 §4
    scopes_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] | None = None  # None: not said
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)  # RFC 8414 §2's default
    iss_supported: bool = msgspec.field(name="authorization_response_iss_parameter_supported", default=False)


_decoder: msgspec.json.Decoder[Metadata] = msgspec.json.Decoder(Metadata)


async def discover(web: Web, issuer: str) -> Metadata:
    """The metadata of exactly that issuer, from the first well-known place that has it.

    Raises Unreachable where asking again may help, Misconfigured for a URL that is never sent to, else NoProvider.
    """
    check_url(issuer)
    for url in _places(issuer):
        answer = await web.send("GET", url)
        if answer.status == 200 and (found := _read(answer)) is not None:
            return _checked(found, issuer, url)
        if answer.status in {408, 429} or answer.status >= 500:
            raise Unreachable(f"{url} answered {answer.status}")
    raise NoProvider(f"{issuer} publishes nothing that tells how to sign in there")


def _places(issuer: str) -> tuple[str, ...]:
    """OpenID appends to the issuer's path; RFC 8414 puts its part in front of it (§3.1), for OpenID's name too (§5)."""
    from authlib.oauth2.rfc8414 import get_well_known_url  # noqa: PLC0415 - heavy: loads when first needed

    places = (
        f"{issuer.rstrip('/')}/.well-known/{_CONFIGURATION}",
        get_well_known_url(issuer, external=True, suffix=_SERVER),
        get_well_known_url(issuer, external=True, suffix=_CONFIGURATION),
    )
    return tuple(dict.fromkeys(places))


def _read(answer: Answer) -> Metadata | None:
    """None for what is no metadata: a web page, say, with which many sites answer any path."""
    try:
        return _decoder.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _checked(found: Metadata, issuer: str, url: str) -> Metadata:
    if found.issuer != issuer:  # RFC 8414 §3.3: identical, or the metadata must not be used
        if found.issuer.rstrip("/") == issuer.rstrip("/"):
            raise NoProvider(f"that issuer writes itself {found.issuer}", options=f"--issuer {found.issuer}")
        raise NoProvider(f"{url} speaks for another issuer, {found.issuer[:200]!r}")
    methods = found.code_challenge_methods_supported
    if methods is not None and "S256" not in methods:
        raise NoProvider(f"{issuer} does not take PKCE with S256, without which aixtiv signs in nowhere")
    inside = may_be_loopback(check_url(issuer).hostname or "")
    for endpoint in _endpoints(found):
        try:
            parts = check_url(endpoint)
        except Misconfigured as failure:
            raise NoProvider(f"the metadata of {issuer} cannot be used: {failure.sentence}") from None
        # What listens on this machine trusts who is on it: no server elsewhere may make us knock there.
        if may_be_loopback(parts.hostname or "") and not inside:
            raise NoProvider(f"the metadata of {issuer} names an address on this machine, {parts.netloc}")
    return found


def _endpoints(found: Metadata) -> list[str]:
    every = (
        found.authorization_endpoint,
        found.token_endpoint,
        found.revocation_endpoint,
        found.introspection_endpoint,
        found.userinfo_endpoint,
        found.jwks_uri,
        found.device_authorization_endpoint,
    )
    return [endpoint for endpoint in every if endpoint]
