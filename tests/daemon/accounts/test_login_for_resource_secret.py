"""Signing in for a resource: the config's client secret goes to no server but the one that it is configured for."""

import time
from pathlib import Path
from typing import Any

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.config import McpConfig, ProviderConfig
from aixtivd.errors import NoProvider
from peers.clock import FakeClock
from peers.guarded import guarded
from peers.house import House, Opener


@pytest.fixture
def table(folder: Path) -> ProviderConfig:
    """Whose server it does not name: it is a ready-made one's, or that of an MCP server of its name."""
    (folder / "secret").write_text("of-config")
    return ProviderConfig(client_id="basic", client_secret_file=str(folder / "secret"))


async def secret_of(house: House, name: str, *, provider: str = "", **settings: Any) -> Secret | None:
    """That a sign-in like that would show to the server."""
    asked = requests.Login(account=name, provider=provider, settings=requests.ClientSettings(**settings))
    client = (await house.accounts._terms.of(name, asked)).client
    assert client is not None
    return client.client_secret


async def test_it_goes_where_the_servers_own_table_leads(house: Opener, table: ProviderConfig) -> None:
    async with guarded() as at:
        mcp = {"tools": McpConfig(url=at.url, account="work"), "mcp": McpConfig(url=at.url)}
        async with house(FakeClock(time.time()), real=True, provider={"work": table, "mcp": table}, mcp=mcp) as h:
            for name in ("mcp", "work"):
                assert await secret_of(h, name) == Secret("of-config")
                assert await secret_of(h, name, resource=at.url) == Secret("of-config")


async def test_no_caller_has_the_configs_secret_sent_where_a_resource_says(
    house: Opener, table: ProviderConfig
) -> None:
    async with guarded() as at, house(FakeClock(time.time()), real=True, provider={"mcp": table}) as h:
        assert await secret_of(h, "mcp", resource=at.url) is None
        h.accounts.reconfigure(h.config(mcp={"mcp": McpConfig(url="https://elsewhere.example/mcp")}))
        assert await secret_of(h, "mcp", resource=at.url) is None


@pytest.mark.parametrize("provider", ["google", "good"])
async def test_a_server_of_the_config_gets_no_secret_that_is_anothers(
    house: Opener, table: ProviderConfig, provider: str
) -> None:
    """Whoever may sign in to the one account would have the other's read by its server."""
    async with guarded() as evil, guarded() as good:
        mcp = {"evil": McpConfig(url=evil.url), "good": McpConfig(url=good.url)}
        async with house(FakeClock(time.time()), real=True, provider={provider: table}, mcp=mcp) as h:
            for name in ("evil", "good", "new"):
                assert await secret_of(h, name, provider=provider, resource=evil.url) is None
            asked = requests.Login(
                account="evil",
                provider=provider,
                settings=requests.ClientSettings(resource=evil.url),
                source=requests.ClientCredentials(),
            )
            with pytest.raises(NoProvider, match="only to one that has a secret"):
                await h.accounts._terms.of("evil", asked)


async def test_a_server_that_bears_a_ready_made_providers_name_does_not_get_its_secret(
    house: Opener, table: ProviderConfig
) -> None:
    async with guarded() as at:
        config = {"provider": {"google": table}, "mcp": {"google": McpConfig(url=at.url)}}
        async with house(FakeClock(time.time()), real=True, **config) as h:
            assert await secret_of(h, "google") is None
            assert await secret_of(h, "google", resource=at.url) is None
