"""Who signs people in to a protected resource, as it says itself (RFC 9728, and what MCP's authorization adds)."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from aixtivd.errors import Misconfigured, NoProvider, SignInFailed, Unreachable
from aixtivd.oauth.challenge import Challenge, fit_scopes, read_challenge
from aixtivd.oauth.discovery import Metadata, NothingPublished, check_named, discover, read_as
from aixtivd.oauth.web import Answer, Web, WebFailure, check_url

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_PATIENCE: Final = 10.0  # seconds for each question: a person waits
_USUAL_PORT: Final = {"https": 443, "http": 80}
_NOTHING: Final = frozenset({404, 410})
_LIST: Final = "aixtiv mcp list"
_ASK: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_PING: Final = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'  # no session is begun by it (MCP)


class Protected(Struct, frozen=True, kw_only=True):
    """The fields aixtiv uses (RFC 9728 §2)."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()


class Resource(Struct, frozen=True, kw_only=True):
    """What a token is for, and what the resource says about getting one."""

    url: str  # the `resource` of every request (RFC 8707)
    scopes: tuple[str, ...] = ()  # to be asked for
    known_scopes: tuple[str, ...] = ()  # all that it tells of
    issuer: str = ""  # who signs in there; empty: it names nobody, as before RFC 9728
    challenged: bool = False  # it was seen to turn away who shows nothing
    missing: int = 0  # the status with which it said that there is nothing at all at its address
    elsewhere: str = ""  # a place at which it should have published that, and which redirects


async def resource_at(web: Web, url: str, challenge: str = "") -> Resource:
    """`challenge`: its WWW-Authenticate, where the caller has seen one; else it is asked for one, without a credential.

    Raises Unreachable where asking again may help, Misconfigured for a URL that is never sent to, NoProvider for what
    must not be believed.
    """
    url = canonical(url)
    said, status = read_challenge(challenge), 0
    if said is None:
        said, status = await _turned_away(web, url)
    found = await _metadata(web, url, said.resource_metadata if said else "")
    wanted = said.scope if said else ()
    if not isinstance(found, Protected):
        return Resource(
            url=url,
            scopes=wanted,
            known_scopes=wanted,
            challenged=said is not None,
            missing=status if status in _NOTHING else 0,
            elsewhere=found,
        )
    offered = fit_scopes(found.scopes_supported)
    issuer = next(iter(found.authorization_servers), "")
    if issuer:
        check_named(issuer, url)
    return Resource(
        url=found.resource,
        scopes=wanted or offered,
        known_scopes=tuple(dict.fromkeys((*wanted, *offered))),
        issuer=issuer,
        challenged=said is not None,
    )


async def server_of(web: Web, resource: Resource) -> Metadata:
    """Its authorization server. One from before RFC 9728 (MCP 2025-03-26) is its own, at the usual places if need be.

    Raises as `resource_at` does, and SignInFailed where nobody need sign in.
    """
    if resource.issuer:
        try:
            return await discover(web, resource.issuer, for_resource=True)
        except Unreachable as failure:
            raise Unreachable(f"{failure.sentence}; that is where {resource.url} has its tokens from") from None
    here = origin(resource.url)
    try:
        return await discover(web, here, for_resource=True)
    except NothingPublished:
        if resource.elsewhere:
            raise NoProvider(f"{resource.elsewhere} leads elsewhere, and a redirect is not followed there") from None
        if resource.missing:
            raise SignInFailed(
                f"{resource.url} answered {resource.missing}: the address may be wrong", hint=_LIST
            ) from None
        if not resource.challenged:
            raise SignInFailed(f"{resource.url} asks nobody to sign in, and says nowhere who could", hint="") from None
    return Metadata(
        issuer="",
        authorization_endpoint=f"{here}/authorize",
        token_endpoint=f"{here}/token",
        registration_endpoint=f"{here}/register",
    )


def canonical(url: str) -> str:
    """As MCP wants it written: scheme and host in lower case, no usual port, no fragment, no lone slash at its end.

    Raises Misconfigured.
    """
    parts = check_url(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _USUAL_PORT[parts.scheme]) else f":{parts.port}"
    path = "" if parts.path == "/" else parts.path
    return f"{parts.scheme}://{host}{port}{path}{'?' if parts.query else ''}{parts.query}"


def origin(url: str) -> str:
    """Raises Misconfigured."""
    parts = urlsplit(canonical(url))
    return f"{parts.scheme}://{parts.netloc}"


def covers(resource: str, url: str) -> bool:
    """Whether what is said of `resource` holds for `url`: the same one, or one below it, at the same origin."""
    one, other = urlsplit(canonical(resource)), urlsplit(canonical(url))
    if (one.scheme, one.netloc) != (other.scheme, other.netloc):
        return False
    if one.query:
        return (one.path, one.query) == (other.path, other.query)
    above = one.path.rstrip("/")
    return other.path.rstrip("/") == above or other.path.startswith(f"{above}/")


async def _turned_away(web: Web, url: str) -> tuple[Challenge | None, int]:
    """What it says to who shows nothing, and its status. None: nothing of that kind; then the well-known places do."""
    status = 0
    for method, body in (("GET", None), ("POST", _PING)):
        try:
            answer = await web.send(method, url, headers=_ASK, body=body, timeout=_PATIENCE)
            status, headers = answer.status, answer.headers
        except WebFailure as failure:
            if not failure.status:  # an answer that has a head and no end tells as much as a whole one
                raise
            status, headers = failure.status, failure.headers
        if status == 401:
            return read_challenge(headers.get("www-authenticate", "")) or Challenge(), status
    return None, status


async def _metadata(web: Web, url: str, named: str) -> Protected | str:
    """What it names itself comes first, then its own place, then its host's (§3.1).

    Where it publishes none: which of them redirects, or empty.
    """
    if named:
        check_named(named, url)
    elsewhere = ""
    for place in dict.fromkeys(filter(None, (named, *_places(url)))):
        answer = await web.send("GET", place, timeout=_PATIENCE)
        if answer.status == 200 and (found := _read(answer)) is not None:
            return _checked(found, url, place, published=place in _places(url))
        if answer.status in {408, 429} or answer.status >= 500:
            raise Unreachable(f"{place} answered {answer.status}")
        if 300 <= answer.status < 400:
            elsewhere = elsewhere or place
    return elsewhere


def _places(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    here = origin(url)
    return f"{here}{_WELL_KNOWN}{parts.path.rstrip('/')}{query}", f"{here}{_WELL_KNOWN}"


def _read(answer: Answer) -> Protected | None:
    return read_as(Protected, answer.body)


def _checked(found: Protected, url: str, place: str, *, published: bool) -> Protected:
    """RFC 9728 §3.3: what speaks for another resource must not be used; else its tokens would be asked for here.

    That this one is a part of a larger one counts only where the host itself publishes it: where one host has several
    tenants, a tenant would otherwise name whom it likes as who signs in to all of them, and get a token for all.
    """
    try:
        named = canonical(found.resource)
    except Misconfigured:
        named = ""
    if not named or urlsplit(found.resource).fragment or not covers(named, url):
        raise NoProvider(f"{place} speaks for another resource than {url}: {found.resource[:200]!r}", hint="")
    if not (published or covers(url, named)):
        raise NoProvider(f"{place} speaks for more than {url}, which only {_places(url)[1]} may: {named!r}", hint="")
    return found
