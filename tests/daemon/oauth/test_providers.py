"""The shipped providers: whole, over https, without a client id, and with Claude's quirks as claude.md has them."""

import msgspec
import pytest

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.oauth.clients import ENDPOINTS, client_for
from aixtivd.oauth.provider import Provider
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Web, check_url


def test_the_five_are_there_under_their_names() -> None:
    assert sorted(READY) == ["anthropic", "github", "gitlab", "google", "microsoft"]
    assert all(name == provider.name for name, provider in READY.items())


@pytest.mark.parametrize("provider", READY.values(), ids=READY)
def test_every_address_is_https_and_none_is_this_machine(provider: Provider) -> None:
    urls = [getattr(provider, name) for name in ENDPOINTS] + [provider.register]
    for url in filter(None, urls):
        assert check_url(url).scheme == "https"
    assert provider.register or provider.without_client_id


@pytest.mark.parametrize("provider", READY.values(), ids=READY)
async def test_a_client_id_and_a_secret_make_a_client_of_each_without_asking_anybody(
    web: Web, provider: Provider
) -> None:
    client = await client_for(web, provider.name, None, ClientSettings(client_id="c", client_secret=Secret("s")))
    assert client.token_endpoint == provider.token_endpoint
    assert client.quirks == provider.quirks


def test_no_client_id_is_shipped() -> None:
    assert not [
        name
        for name in msgspec.structs.asdict(READY["anthropic"])
        if "client_id" in name and name != "without_client_id"
    ]


def test_anthropic_is_spoken_to_as_its_published_sdks_do() -> None:
    provider = READY["anthropic"]
    assert provider.token_endpoint == "https://api.anthropic.com/v1/oauth/token"
    assert provider.authorization_endpoint == "https://platform.claude.com/oauth/authorize"
    quirks = provider.quirks
    assert (quirks.exchange_body, quirks.exchange_headers, quirks.state_in_exchange) == ("form", {}, True)
    assert (quirks.refresh_body, quirks.refresh_headers) == ("json", {"anthropic-beta": "oauth-2025-04-20"})
    assert (quirks.redirect_host, quirks.redirect_path, quirks.redirect_ports) == ("localhost", "/callback", ())
    assert quirks.default_lifetime == 3600
    assert not provider.revocation_endpoint
    assert not provider.introspection_endpoint
    assert not provider.issuer
