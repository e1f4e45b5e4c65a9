"""Signing in for a resource whose authorization server is the real oidc-provider."""

import time
from collections.abc import Iterator

import pytest

from aixtiv_protocol import requests
from aixtivd.errors import SignInFailed
from peers.canned import shelf
from peers.clock import FakeClock
from peers.guarded import METADATA
from peers.house import Opener
from peers.logins import sign_in
from peers.provider import Provider, oidc_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with oidc_provider(registration=True) as provider:
        yield provider


def described(resource: str, provider: Provider) -> dict[str, object]:
    """With a slash behind the bare host, as pydantic writes an issuer."""
    return {
        "resource": resource,
        "authorization_servers": [f"{provider.issuer}/"],
        "scopes_supported": ["mcp:read", "mcp:write"],
    }


async def test_it_registers_gets_a_token_for_the_resource_alone_and_refreshes_it(
    house: Opener, provider: Provider
) -> None:
    async with shelf() as there, house(FakeClock(time.time()), real=True) as h:
        url = f"{there.url}/mcp"
        provider.tell(resource=url)
        there.put("/mcp", status=401, WWW_Authenticate='Bearer scope="mcp:read"')
        there.put(f"{METADATA}/mcp", described(url, provider))
        asked = requests.Login(account="mcp", settings=requests.ClientSettings(resource=url))
        account = await sign_in(h, asked)
        assert "mcp:read" in account.scopes
        stored = await h.stored("mcp")
        assert stored.client is not None
        assert stored.refresh_token is not None
        await h.accounts.refresh(requests.Refresh(account="mcp", wait=30))
        more = requests.Login(account="mcp", settings=asked.settings, scopes=("mcp:read", "mcp:write"))
        assert {"mcp:read", "mcp:write"} <= set((await sign_in(h, more)).scopes)
        assert (await h.stored("mcp")).client is not None
        granted = provider.seen("granted", client=stored.client.client_id)
        assert [line["grant"] for line in granted] == ["authorization_code", "refresh_token", "authorization_code"]
        assert {line["audience"] for line in granted} == {url}


async def test_a_resource_that_the_server_does_not_know_is_refused_in_its_words(
    house: Opener, provider: Provider
) -> None:
    async with shelf() as there, house(FakeClock(time.time()), real=True) as h:
        url = f"{there.url}/mcp"
        provider.tell(resource="https://another.example")
        there.put(f"{METADATA}/mcp", described(url, provider))
        settings = requests.ClientSettings(resource=url, challenge="Bearer")
        with pytest.raises(SignInFailed, match="invalid_target"):
            await sign_in(h, requests.Login(account="mcp", settings=settings))
