"""Which client we are at a provider: ready-made data, below the config's table, below what the request says."""

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import anyio
import msgspec
from msgspec import Struct

from aixtiv_protocol.replies import Kind
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.config import ProviderConfig
from aixtivd.errors import BadConfig, Misconfigured, NoProvider
from aixtivd.oauth.client import TENANT, Client, Quirks
from aixtivd.oauth.discovery import Metadata, discover
from aixtivd.oauth.provider import Provider
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Web, check_url

ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "device_authorization_endpoint",
)

_NEEDED: Final = ("authorization_endpoint", "token_endpoint")  # the first only where a person signs in

ClientAuth = Literal["none", "basic", "post"]


class Known(Struct, frozen=True, kw_only=True):
    """What the layers say together. Its secret's file has not been read yet."""

    provider: str
    urls: dict[str, str] = {}  # `issuer` and ENDPOINTS, only those that are known
    client_id: str = ""
    client_secret: Secret | None = None
    secret_file: str = ""
    client_auth: Literal["", "none", "basic", "post"] = ""  # as the user said
    redirect_uri: str = ""
    scopes: tuple[str, ...] = ()
    quirks: Quirks = Quirks()


async def client_for(
    web: Web, provider: str, config: ProviderConfig | None, settings: ClientSettings, kind: Kind = "oauth"
) -> Client:
    """Who we are there, for an account of that kind: only `oauth` sends anybody to a browser.

    Raises NoProvider with what to type, Unreachable where discovery may succeed later, BadConfig, Misconfigured.
    """
    ready = READY.get(provider)
    config = config or ProviderConfig()
    known = merge(provider, ready, config, settings)
    if kind == "federation" and known.quirks.federation_needs:
        known = msgspec.structs.replace(known, client_id="", client_secret=None, secret_file="", client_auth="")
    elif not known.client_id and kind != "federation":
        raise _no_client_id(known, ready)
    needed = needed_by(kind)
    metadata = await _discovered(web, known, needed)
    known = _with_metadata(known, metadata) if metadata else known
    check_endpoints(known, needed)
    secret = known.client_secret or await secret_from(known)
    if secret is None and kind == "client-credentials":
        raise NoProvider(
            f"{provider} gives a client's own token only to one that has a secret", options="--client-secret"
        )
    client = Client(
        provider=provider,
        client_id=known.client_id,
        token_endpoint=known.urls["token_endpoint"],
        client_secret=secret,
        client_auth=way_of_proof(known, secret, ready if kind != "federation" else None, metadata),
        redirect_uri=known.redirect_uri,
        scopes=known.scopes if kind == "oauth" else config.scopes,
        quirks=known.quirks,
    )
    return msgspec.structs.replace(client, **known.urls)


def needed_by(kind: Kind) -> tuple[str, ...]:
    """Endpoints without which there is no token for such an account."""
    return _NEEDED if kind == "oauth" else _NEEDED[-1:]


async def device_endpoint(web: Web, client: Client) -> str:
    """Of a client that was bound before anybody asked for it; empty: its server has none that is known of."""
    if client.device_authorization_endpoint:
        return client.device_authorization_endpoint
    ready = READY.get(client.provider)
    if ready and (ready.issuer, ready.token_endpoint) == (client.issuer, client.token_endpoint):
        return ready.device_authorization_endpoint
    if not client.issuer or TENANT in client.issuer or client.resource:  # a resource's server was looked up just now
        return ""
    try:
        return (await discover(web, client.issuer)).device_authorization_endpoint
    except NoProvider:
        return ""


def merge(provider: str, ready: Provider | None, config: ProviderConfig, settings: ClientSettings) -> Known:
    """Pure. A layer that names another server takes away what lower layers know of theirs.

    So no token reaches the userinfo endpoint of another server, and a secret from the config goes nowhere but to the
    server it is configured for: a request over the socket could otherwise have it sent wherever it likes.
    """
    lowest = _urls(ready) if ready else {}
    middle = over(lowest, _urls(config))
    urls = over(middle, _urls(settings))
    config_secret_fits = _same_server(middle, urls) and _same_place(middle, urls, "device_authorization_endpoint")
    quirks = ready.quirks if ready else Quirks()
    return Known(
        provider=provider,
        urls=urls,
        client_id=settings.client_id or config.client_id,
        client_secret=settings.client_secret,
        secret_file=config.client_secret_file if config_secret_fits else "",
        client_auth=settings.client_auth or config.client_auth,
        redirect_uri=settings.redirect_uri or config.redirect_uri,
        scopes=config.scopes or (ready.scopes if ready else ()),
        quirks=_with_config(quirks, config),
    )


def _urls(layer: Provider | ProviderConfig | ClientSettings) -> dict[str, str]:
    return {name: url for name in ("issuer", *ENDPOINTS) if (url := getattr(layer, name, ""))}


def over(below: dict[str, str], above: dict[str, str]) -> dict[str, str]:
    """`above` wins. Another issuer makes all of `below` void, another token server all but the page to sign in at."""
    if above.get("issuer", below.get("issuer", "")) != below.get("issuer", ""):
        return above
    if not _same_server(below, below | above):
        kept = {name: url for name, url in below.items() if name == "authorization_endpoint"}
        return kept | above
    return below | above


def _same_server(below: dict[str, str], above: dict[str, str]) -> bool:
    if below.get("issuer") != above.get("issuer"):
        return False
    before, now = (_server(urls.get("token_endpoint", "")) for urls in (below, above))
    return before == now


def _same_place(below: dict[str, str], above: dict[str, str], name: str) -> bool:
    """Nobody named another server for that endpoint than was known, or than its neighbours'."""
    known = (below.get(name), above.get("token_endpoint"), above.get("issuer"))
    return not above.get(name) or _server(above[name]) in {_server(url) for url in known if url}


def _server(url: str) -> tuple[str, ...]:
    """What is no URL is only itself: it is refused in the end."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    return parts.scheme, parts.netloc


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme)
    except ValueError:
        return False


def _with_config(quirks: Quirks, config: ProviderConfig) -> Quirks:
    return msgspec.structs.replace(
        quirks,
        authorize_parameters=quirks.authorize_parameters | config.authorize_parameters,
        default_lifetime=config.default_lifetime or quirks.default_lifetime,
        punishes_reuse=quirks.punishes_reuse if config.punishes_reuse is None else config.punishes_reuse,
    )


async def _discovered(web: Web, known: Known, needed: tuple[str, ...]) -> Metadata | None:
    """Only where an issuer is known and something is missing. Keys alone may stay missing: then no ID token counts."""
    issuer = known.urls.get("issuer", "")
    missing = {*needed, "jwks_uri"} - known.urls.keys()
    if not issuer or not missing:
        return None
    try:
        return await discover(web, issuer)
    except NoProvider:
        if missing == {"jwks_uri"}:
            return None
        raise


def _with_metadata(known: Known, found: Metadata) -> Known:
    published = {name: url for name in ENDPOINTS if (url := getattr(found, name))}
    return msgspec.structs.replace(
        known,
        urls=published | known.urls,
        scopes=known.scopes or _usual_scopes(found),
        quirks=msgspec.structs.replace(known.quirks, expects_iss=known.quirks.expects_iss or found.iss_supported),
    )


def _usual_scopes(found: Metadata) -> tuple[str, ...]:
    """Of an OpenID provider that nobody wrote data for: who signed in, and a refresh token where that has a scope."""
    offered = found.scopes_supported or (("openid",) if found.jwks_uri else ())
    return tuple(scope for scope in ("openid", "email", "offline_access") if scope in offered)


def check_endpoints(known: Known, needed: tuple[str, ...]) -> None:
    name = known.provider
    for endpoint in needed:
        if not known.urls.get(endpoint):
            raise NoProvider(
                f"too little is known about the provider {name}: its {endpoint.replace('_', ' ')} is missing",
                options="--issuer URL --client-id ID",
            )
    if known.redirect_uri and not _is_url(known.redirect_uri):
        raise Misconfigured(
            f"the redirect URI {known.redirect_uri[:100]!r} is not a URL", hint="http://localhost:8080/callback"
        )
    for url in known.urls.values():
        check_url(url.replace("{", "").replace("}", ""))


async def secret_from(known: Known) -> Secret | None:
    if not known.secret_file:
        return None
    try:
        text = await anyio.to_thread.run_sync(_read, known.secret_file)
    except (OSError, UnicodeDecodeError):
        raise BadConfig(f"provider.{known.provider}.client-secret-file: {known.secret_file} cannot be read") from None
    return Secret(text.strip()) if text.strip() else None


def _read(path: str) -> str:
    return Path(path).expanduser().read_text(encoding="utf-8")


def way_of_proof(known: Known, secret: Secret | None, ready: Provider | None, found: Metadata | None) -> ClientAuth:
    """As the user said; without a secret none; else what the provider takes, basic first as RFC 6749 §2.3.1 has it."""
    if secret is None:
        if known.client_auth in {"basic", "post"} or (ready and ready.secret_needed and not known.client_auth):
            raise NoProvider(
                f"{known.provider} wants a client secret beside the client id",
                options="--client-secret",
            )
        return "none"
    if known.client_auth:
        return known.client_auth
    if found:
        takes = found.token_endpoint_auth_methods_supported or ("client_secret_basic",)
        return "post" if "client_secret_post" in takes and "client_secret_basic" not in takes else "basic"
    return ready.secret_sent if ready else "basic"


def _no_client_id(known: Known, ready: Provider | None) -> NoProvider:
    name = known.provider
    if ready is None:
        if not known.urls:
            return NoProvider(f"nothing is known about the provider {name}", options="--issuer URL --client-id ID")
        return NoProvider(f"the client id at {name} is missing", options="--client-id ID")
    if ready.without_client_id:
        return NoProvider(ready.without_client_id, hint=ready.instead, options="--client-id ID")
    secret = " --client-secret" if ready.secret_needed else ""
    return NoProvider(
        f"{name} wants a client id of your own: register an application at {ready.register}",
        options=f"--client-id ID{secret}",
    )
