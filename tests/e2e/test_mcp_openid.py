"""A remote MCP server whose sign-ins are the real oidc-provider's: found, registered at, signed in, refreshed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from peers import processes
from peers.machine import Machine
from peers.mcp_servers.process import RemoteServer
from peers.mcp_servers.scene import person_for
from peers.provider import Provider, oidc_provider

LIFE = 600


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oidc_provider(registration=True, accessToken=LIFE) as provider:
        yield provider
        assert not provider.seen("defect")


@pytest.fixture
def server(provider: Provider) -> Iterator[RemoteServer]:
    """That asks the provider about every token, and takes those alone that are for itself."""
    words = ["--issuer", provider.issuer, "--introspection", f"{provider.issuer}/token/introspection"]
    words += ["--client", "basic", "--secret", provider.secret, "--scope", "mcp:read", "--for-itself"]
    with processes.running("peers.mcp_servers.server", *words) as ready:
        provider.tell(resource=ready["url"])
        yield RemoteServer(ready["url"])


async def test_a_tool_is_called_with_nothing_but_the_servers_address(
    machine: Machine, provider: Provider, server: RemoteServer, folder: Path
) -> None:
    environ = machine.environ | {"BROWSER": person_for(folder, folder / "visits")}
    bridge = StdioServerParameters(command=str(machine.scripts / "aixtiv"), args=["mcp", server.url], env=environ)
    async with Client(bridge, mode="legacy") as client:
        first = await client.call_tool("add", {"a": 1, "b": 2})
        provider.tell(skip=LIFE + 1)  # for the server the token has ended, and the daemon does not know it yet
        second = await client.call_tool("add", {"a": 3, "b": 4})
    assert [first.structured_content, second.structured_content] == [{"result": 3}, {"result": 7}]
    assert len((folder / "visits").read_text().splitlines()) == 1
    assert (len(server.tokens), provider.refreshes, provider.reuses) == (2, 1, 0)
    account = machine.account(f"127.0.0.1-{server.port}/mcp")
    assert "mcp:read" in account.scopes
    assert account.endpoint == f"http://127.0.0.1:{server.port}"
