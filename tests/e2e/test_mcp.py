"""A real MCP client, `aixtiv mcp`, the daemon, and a real remote MCP server behind a sign-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.mcp_servers.scene import Scene, scene


@pytest.fixture
def at(folder: Path) -> Iterator[Scene]:
    with scene(folder) as at:
        yield at


async def test_an_entry_of_the_old_file_becomes_a_tool_that_a_real_client_calls(at: Scene) -> None:
    async with at.client() as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("add", {"a": 2, "b": 3})
    assert "add" in tools
    assert answer.content[0].text == "5"
    assert at.visited == 1
