"""Which client we are where a resource has its tokens from: one made by hand, a document, registered, or as before."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from aixtiv_protocol.replies import Kind
from aixtiv_protocol.requests import ClientSettings
from aixtivd.config import ProviderConfig
from aixtivd.errors import Misconfigured, NoProvider
from aixtivd.oauth.challenge import read_challenge
from aixtivd.oauth.client import Client
from aixtivd.oauth.clients import ENDPOINTS, Known, check_endpoints, merge, needed_by, over, secret_from, way_of_proof
from aixtivd.oauth.discovery import Metadata, discover
from aixtivd.oauth.registration import kept, way_to_prove
from aixtivd.oauth.resource import Resource, canonical, resource_at, server_of
from aixtivd.oauth.web import Web, check_url

OFFLINE: Final = "offline_access"
"""The scope that brings a refresh token, where a server has it (OpenID Connect Core §11)."""

_NOT_OURS: Final = "userinfo_endpoint"  # a token for the resource is nothing to show there


async def client_for_resource(
    web: Web,
    provider: str,
    config: ProviderConfig | None,
    settings: ClientSettings,
    kind: Kind = "oauth",
    *,
    scopes: tuple[str, ...] = (),
    before: Client | None = None,
) -> Client:
    """`before`: of the account's last sign-in, to be kept if it is known to the server that the resource names now.

    `scopes`: as asked for; none: as the config has them, else the resource. Nothing is registered here: where no id is
    known yet, the one that comes back has none, and a `registration_endpoint`. Raises as `client_for` does.
    """
    config = config or ProviderConfig()
    known = merge(provider, None, config, settings)
    needed = needed_by(kind)
    resource, found = await _looked_up(web, known, settings, needed)
    if found:
        known = _with_metadata(known, found)
    check_endpoints(known, needed)
    asked = scopes or known.scopes or resource.scopes
    if asked and kind == "oauth" and found and OFFLINE in found.scopes_supported:
        asked = tuple(dict.fromkeys((*asked, OFFLINE)))
    bare = Client(
        provider=provider,
        client_id="",
        token_endpoint=known.urls["token_endpoint"],
        redirect_uri=known.redirect_uri,
        scopes=asked,
        quirks=known.quirks,
        resource=resource.url,
        registered_scopes=tuple(dict.fromkeys((*asked, *resource.known_scopes))),
    )
    bare = msgspec.structs.replace(bare, **known.urls)
    if _may_be_kept(known, settings, before):
        bare = kept(bare, before)
    return bare if bare.client_id else await _newcomer(bare, known, settings, found, kind)


async def _looked_up(
    web: Web, known: Known, settings: ClientSettings, needed: tuple[str, ...]
) -> tuple[Resource, Metadata | None]:
    """What a person says of the server is not asked for; the resource is, where they say nothing."""
    if not set(needed) <= known.urls.keys() and "issuer" not in known.urls:
        resource = await resource_at(web, settings.resource, settings.challenge)
        return resource, await server_of(web, resource)
    said = read_challenge(settings.challenge)
    resource = Resource(url=canonical(settings.resource), scopes=said.scope if said else ())
    if set(needed) <= known.urls.keys():
        return resource, None
    return resource, await discover(web, known.urls["issuer"], for_resource=True)


def _with_metadata(known: Known, found: Metadata) -> Known:
    """Where the resource named who that is of, a token server that a person set keeps its secrets for its own."""
    names = (name for name in ENDPOINTS if name != _NOT_OURS)
    published = {name: url for name in names if (url := getattr(found, name))}
    issuer = {"issuer": found.issuer} if found.issuer else {}
    return msgspec.structs.replace(
        known,
        urls=(published | known.urls if "issuer" in known.urls else over(published, known.urls)) | issuer,
        quirks=msgspec.structs.replace(known.quirks, expects_iss=known.quirks.expects_iss or found.iss_supported),
    )


def _may_be_kept(known: Known, settings: ClientSettings, before: Client | None) -> bool:
    """Not where a person names another client, brings a secret, or has codes asked for elsewhere, which shows it."""
    if before is None or known.client_secret is not None:
        return False
    if settings.device_authorization_endpoint not in {"", before.device_authorization_endpoint}:
        return False
    return known.client_id in {"", before.client_id}


async def _newcomer(
    client: Client, known: Known, settings: ClientSettings, found: Metadata | None, kind: Kind
) -> Client:
    """In the order that MCP has: one that was made by hand, a document, a registration."""
    secret = known.client_secret or await secret_from(known)
    if secret is None and kind == "client-credentials":
        raise NoProvider(
            f"{client.provider} gives a client's own token only to one that has a secret", options="--client-secret"
        )
    if known.client_id or kind == "federation":
        auth = way_of_proof(known, secret, None, found)
        return msgspec.structs.replace(
            client, client_id=known.client_id, client_secret=secret, client_auth=auth, registered_scopes=()
        )
    host = urlsplit(client.token_endpoint).netloc
    if settings.client_id_metadata and found and found.client_id_metadata:
        document = _checked(settings.client_id_metadata)
        return msgspec.structs.replace(client, client_id=document, registered_scopes=())
    if kind == "oauth" and found and found.registration_endpoint:
        return msgspec.structs.replace(
            client, registration_endpoint=found.registration_endpoint, client_auth=way_to_prove(found, host)
        )
    why = (
        "registers no clients by itself" if found else "is not asked to register a client where its endpoints are given"
    )
    raise NoProvider(
        f"{host} {why}: the id of one that was made by hand is needed",
        options="--client-id ID",
    )


def _checked(document: str) -> str:
    """draft-ietf-oauth-client-id-metadata-document §3: https, with a path. The server reads it, we never do."""
    try:
        parts = check_url(document)
        fits = parts.scheme == "https" and parts.path not in {"", "/"} and not parts.fragment
    except Misconfigured:
        fits = False
    if not fits:
        raise Misconfigured(
            f"{document[:100]!r} can be no client id: expected the https:// URL of a document, with a path"
        )
    return document
