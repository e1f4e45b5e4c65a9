"""Which client we are for a resource: in which order it is chosen, and what never goes to a server that it names."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.config import ProviderConfig
from aixtivd.errors import Misconfigured, NoProvider
from aixtivd.oauth.authorization import authorization_url, new_verifier
from aixtivd.oauth.client import Client
from aixtivd.oauth.resource_client import client_for_resource
from aixtivd.oauth.web import Web
from peers.guarded import Guarded, guarded

DOCUMENT = "https://house.example/client.json"


async def found_at(
    web: Web,
    at: Guarded,
    *,
    config: ProviderConfig | None = None,
    scopes: tuple[str, ...] = (),
    before: Client | None = None,
    kind: Any = "oauth",
    **settings: Any,
) -> Client:
    said = ClientSettings(resource=at.url, **settings)
    return await client_for_resource(web, "mcp", config, said, kind, scopes=scopes, before=before)


async def test_everything_is_found_out_from_its_url_alone(web: Web) -> None:
    async with guarded() as at:
        client = await found_at(web, at)
        assert client.resource == at.url
        assert client.issuer == at.server.issuer
        assert client.token_endpoint == f"{at.server.issuer}/token"
        assert client.registration_endpoint == f"{at.server.issuer}/register"
        assert client.scopes == ("api:read", "offline_access")
        assert client.quirks.expects_iss
        assert client.client_id == ""  # registered when it is known where it listens
        assert client.userinfo_endpoint == ""  # a token for the resource is not shown elsewhere


@pytest.mark.parametrize(
    ("settings", "server", "client_id"),
    [
        ({"client_id": "native", "client_id_metadata": DOCUMENT}, {"client_id_metadata": True}, "native"),
        ({"client_id_metadata": DOCUMENT}, {"client_id_metadata": True}, DOCUMENT),
        ({"client_id_metadata": DOCUMENT}, {"client_id_metadata": False}, ""),
        ({}, {"client_id_metadata": True}, ""),
    ],
)
async def test_a_client_made_by_hand_comes_first_then_a_document_then_a_registration(
    web: Web, settings: dict[str, Any], server: dict[str, Any], client_id: str
) -> None:
    async with guarded(**server) as at:
        client = await found_at(web, at, **settings)
        assert client.client_id == client_id
        assert bool(client.registration_endpoint) is (client_id == "")
        assert client.client_auth == "none"


async def test_where_none_registers_itself_the_option_to_type_is_named(web: Web) -> None:
    async with guarded(registration=False) as at:
        with pytest.raises(NoProvider, match="made by hand") as caught:
            await found_at(web, at)
        assert caught.value.options == "--client-id ID"


@pytest.mark.parametrize(
    "document", ["http://localhost/client.json", "https://house.example", "https://house.example/c#x", "nonsense"]
)
async def test_a_document_that_can_be_no_client_id_is_refused(web: Web, document: str) -> None:
    async with guarded(client_id_metadata=True) as at:
        with pytest.raises(Misconfigured, match="can be no client id"):
            await found_at(web, at, client_id_metadata=document)


@pytest.mark.parametrize(
    ("challenge", "supported", "asked", "offline", "scopes"),
    [
        ('Bearer scope="api:write"', ["api:read"], (), True, ("api:write", "offline_access")),
        ("Bearer", ["api:read", "api:write"], (), False, ("api:read", "api:write")),
        ("Bearer", [], (), True, ()),  # none is known: the server decides, and is not asked for one alone
        ("Bearer", [], ("api:read",), True, ("api:read", "offline_access")),
        ('Bearer scope="api:write"', ["api:read"], ("api:read",), False, ("api:read",)),
    ],
)
async def test_scopes_are_as_asked_for_or_as_challenged_or_as_published_or_none(
    web: Web, challenge: str, supported: list[str], asked: tuple[str, ...], offline: bool, scopes: tuple[str, ...]
) -> None:
    async with guarded(offline=offline) as at:
        at.challenge(challenge)
        at.publish(scopes_supported=supported)
        assert (await found_at(web, at, scopes=asked)).scopes == scopes


async def test_who_was_not_asked_is_not_said_to_register_nobody(web: Web) -> None:
    async with guarded() as at:
        with pytest.raises(NoProvider, match="is not asked to register a client where its endpoints are given"):
            await found_at(web, at, authorization_endpoint="https://a.example/a", token_endpoint="https://a.example/t")


async def test_what_a_person_says_of_the_server_is_asked_of_nobody(web: Web) -> None:
    async with guarded() as at:
        urls = {"authorization_endpoint": "https://a.example/a", "token_endpoint": "https://a.example/t"}
        client = await found_at(
            web,
            at,
            client_id="c",
            authorization_endpoint=urls["authorization_endpoint"],
            token_endpoint=urls["token_endpoint"],
        )
        assert (client.token_endpoint, client.resource) == ("https://a.example/t", at.url)
        assert at.there.asked == []
        client = await found_at(web, at, issuer=at.server.issuer)
        assert (client.issuer, client.resource) == (at.server.issuer, at.url)
        assert at.there.asked == []


async def test_the_client_from_before_is_kept_where_its_server_is_still_the_one(web: Web) -> None:
    async with guarded() as at, guarded() as elsewhere:
        first = await found_at(web, at)
        before = msgspec.structs.replace(
            first, client_id="c", client_secret=Secret("s"), redirect_uri="http://127.0.0.1:1/callback"
        )
        assert (await found_at(web, at, before=before)).client_secret == Secret("s")
        assert (await found_at(web, at, before=before, client_id="c")).client_secret == Secret("s")
        assert (await found_at(web, at, before=before, client_id="other")).client_secret is None
        at.publish(authorization_servers=[elsewhere.server.issuer])
        moved = await found_at(web, at, before=before)
        assert (moved.issuer, moved.client_id, moved.client_secret) == (elsewhere.server.issuer, "", None)


async def test_the_client_from_before_shows_its_secret_at_no_place_that_a_request_names(web: Web) -> None:
    async with guarded() as at:
        first = await found_at(web, at)
        before = msgspec.structs.replace(first, client_id="c", client_secret=Secret("s"))
        asked = await found_at(web, at, before=before, device_authorization_endpoint="https://evil.example/device")
        assert (asked.client_id, asked.client_secret) == ("", None)


async def test_beside_a_token_server_of_the_config_a_resource_names_no_place_for_its_secret(
    web: Web, folder: Path
) -> None:
    """The secret is shown where a token is revoked, too, and where a code is asked for."""
    (folder / "secret").write_text("of-config")
    table = ProviderConfig(client_id="c", client_secret_file=str(folder / "secret"))
    async with guarded(device=True) as at:
        config = msgspec.structs.replace(table, token_endpoint="https://good.example/token")
        client = await found_at(web, at, config=config)
        assert (client.token_endpoint, client.client_secret) == ("https://good.example/token", Secret("of-config"))
        assert (client.revocation_endpoint, client.device_authorization_endpoint) == ("", "")
        assert client.authorization_endpoint == f"{at.server.issuer}/authorize"
        config = msgspec.structs.replace(table, token_endpoint=f"{at.server.issuer}/token")
        own = await found_at(web, at, config=config)
        assert own.revocation_endpoint
        assert own.device_authorization_endpoint


async def test_the_configs_secret_goes_with_the_configs_client(web: Web, folder: Path) -> None:
    (folder / "secret").write_text("of-config")
    config = ProviderConfig(client_id="basic", client_secret_file=str(folder / "secret"))
    async with guarded() as at:
        client = await found_at(web, at, config=config)
        assert (client.client_id, client.client_secret, client.client_auth) == ("basic", Secret("of-config"), "basic")


async def test_a_redirect_uri_of_the_config_is_the_one_that_is_registered(web: Web) -> None:
    config = ProviderConfig(redirect_uri="http://localhost:3000/oauth/callback")
    async with guarded() as at:
        assert (await found_at(web, at, config=config)).redirect_uri == config.redirect_uri


async def test_a_clients_own_token_wants_a_secret(web: Web) -> None:
    async with guarded() as at:
        with pytest.raises(NoProvider, match="only to one that has a secret"):
            await found_at(web, at, kind="client-credentials", client_id="basic")
        client = await found_at(
            web, at, kind="client-credentials", client_id="basic", client_secret=Secret(at.server.secret)
        )
        assert (client.resource, client.scopes) == (at.url, ("api:read",))


async def test_the_browser_is_told_what_the_token_is_for(web: Web) -> None:
    async with guarded() as at:
        client = msgspec.structs.replace(await found_at(web, at), client_id="c")
        url = authorization_url(client, "http://127.0.0.1/callback", "s", "n", new_verifier(), client.scopes)
        assert f"resource={at.url.replace(':', '%3A').replace('/', '%2F')}" in url
        assert "prompt=consent" in url  # else a server that speaks OpenID may give no refresh token
