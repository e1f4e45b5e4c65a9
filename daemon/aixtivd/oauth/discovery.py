"""What an issuer publishes about itself (OpenID Connect Discovery 1.0 §4, RFC 8414)."""

from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from aixtivd.errors import Misconfigured, NoProvider, Unreachable
from aixtivd.oauth.document import as_object
from aixtivd.oauth.web import Answer, Web, check_url, may_be_loopback

_CONFIGURATION: Final = "openid-configuration"
_SERVER: Final = "oauth-authorization-server"

_S = TypeVar("_S", bound=Struct)


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
    registration_endpoint: str = ""  # RFC 7591 §3
    scopes_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] | None = None  # None: not said
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None  # None: RFC 8414 §2 takes it for basic
    iss_supported: bool = msgspec.field(name="authorization_response_iss_parameter_supported", default=False)
    client_id_metadata: bool = msgspec.field(name="client_id_metadata_document_supported", default=False)


class NothingPublished(NoProvider):
    """the issuer publishes nothing that tells how to sign in there"""


async def discover(web: Web, issuer: str, *, for_resource: bool = False) -> Metadata:
    """The metadata of exactly that issuer, from the first well-known place that has it.

    `for_resource`: as MCP's authorization wants it. RFC 8414's place comes first, and a server that does not say that
    it takes PKCE is refused: nothing else binds a code to whoever asked for it.

    Raises Unreachable where asking again may help, Misconfigured for a URL that is never sent to, else NoProvider.
    """
    check_url(issuer)
    redirected = ""
    for url in _places(issuer, openid_first=not for_resource):
        answer = await web.send("GET", url)
        if answer.status == 200 and (found := _read(answer)) is not None:
            return _checked(found, issuer, url, for_resource=for_resource)
        if answer.status in {408, 429} or answer.status >= 500:
            raise Unreachable(f"{url} answered {answer.status}")
        if 300 <= answer.status < 400:
            redirected = redirected or url
    if redirected:
        raise NoProvider(f"{redirected} leads elsewhere, and a redirect is not followed there")
    raise NothingPublished(f"{issuer} publishes nothing that tells how to sign in there")


def _places(issuer: str, *, openid_first: bool) -> tuple[str, ...]:
    """OpenID appends to the issuer's path; RFC 8414 puts its part in front of it (§3.1), for OpenID's name too (§5)."""
    from authlib.oauth2.rfc8414 import get_well_known_url  # noqa: PLC0415 - heavy: loads when first needed

    openid = f"{issuer.rstrip('/')}/.well-known/{_CONFIGURATION}"
    server = get_well_known_url(issuer, external=True, suffix=_SERVER)
    between = get_well_known_url(issuer, external=True, suffix=_CONFIGURATION)
    places = (openid, server, between) if openid_first else (server, between, openid)
    return tuple(dict.fromkeys(places))


def _read(answer: Answer) -> Metadata | None:
    return read_as(Metadata, answer.body)


def read_as(kind: type[_S], body: bytes) -> _S | None:
    """None for what is none: a web page, say, with which many sites answer any path. A null says nothing."""
    document = as_object(body)
    if document is None:
        return None
    try:
        return msgspec.convert({name: value for name, value in document.items() if value is not None}, kind)
    except msgspec.ValidationError:
        return None


def _checked(found: Metadata, issuer: str, url: str, *, for_resource: bool) -> Metadata:
    if found.issuer != issuer:  # RFC 8414 §3.3: identical, or the metadata must not be used
        only_slash = found.issuer.rstrip("/") == issuer.rstrip("/")
        # A resource's list is often written by a library that puts a slash behind a bare host (RFC 3986 §6.2.3).
        if only_slash and not (for_resource and _is_bare(issuer) and _is_bare(found.issuer)):
            raise NoProvider(f"that issuer writes itself {found.issuer}", options=f"--issuer {found.issuer}")
        if not only_slash:
            raise NoProvider(f"{url} speaks for another issuer, {found.issuer[:200]!r}")
    methods = found.code_challenge_methods_supported
    if "S256" not in (methods or ()) and (for_resource or methods is not None):
        raise NoProvider(f"{issuer} does not take PKCE with S256, without which aixtiv signs in nowhere")
    for endpoint in _endpoints(found):
        check_named(endpoint, issuer)
    return found


def check_named(url: str, by: str) -> None:
    """An address that what `by` publishes names: one that is sent to, and not on this machine unless `by` is.

    Raises NoProvider. What listens on this machine trusts who is on it: no server elsewhere may make us knock there.
    """
    try:
        parts = check_url(url)
    except Misconfigured as failure:
        raise NoProvider(f"the metadata of {by} cannot be used: {failure.sentence}") from None
    if may_be_loopback(parts.hostname or "") and not may_be_loopback(check_url(by).hostname or ""):
        raise NoProvider(f"the metadata of {by} names an address on this machine, {parts.netloc}")


def _is_bare(issuer: str) -> bool:
    """A host and nothing behind it."""
    return urlsplit(issuer).path in {"", "/"}


def _endpoints(found: Metadata) -> list[str]:
    every = (
        found.authorization_endpoint,
        found.token_endpoint,
        found.revocation_endpoint,
        found.introspection_endpoint,
        found.userinfo_endpoint,
        found.jwks_uri,
        found.device_authorization_endpoint,
        found.registration_endpoint,
    )
    return [endpoint for endpoint in every if endpoint]
