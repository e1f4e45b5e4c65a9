"""What the config may say of remote MCP servers: an account's token goes where it says."""

from pathlib import Path

import pytest

from aixtivd.config import load
from aixtivd.errors import BadConfig

URL = "url: expected https://host/path (http:// only for this machine), without user or #"


@pytest.mark.parametrize("url", ["https://mcp.house.example/mcp", "http://127.0.0.1:3000/sse?team=a", "https://h"])
def test_an_address_of_a_server_is_taken(folder: Path, url: str) -> None:
    file = folder / "config.toml"
    file.write_text(f'[mcp.house]\nurl = "{url}"\n')
    assert load(file).mcp["house"].url == url


@pytest.mark.parametrize(
    ("toml", "expectation"),
    [
        *(
            (f'url = "{url}"', URL)
            for url in (
                "",
                "mcp.house.example",
                "http://mcp.house.example/mcp",
                "http://127.0.0.1.evil.example/mcp",
                "https://ada:secret@mcp.house.example/mcp",
                "https://mcp.house.example/mcp#here",
                "https://mcp.house.example:0/mcp",
                "https://mcp.house.example/ö",
                "https://",
            )
        ),
        (
            'url = "https://h/mcp"\naccount = "a b"',
            "account: 'a b' is no name: expected letters, digits and . _ @ + - /",
        ),
        *(
            (
                f'url = "https://h/mcp"\nclient-id-metadata = "{document}"',
                "client-id-metadata: expected https://host/path of a document that is yours",
            )
            for document in ("http://127.0.0.1/client.json", "https://house.example/", "https://house.example")
        ),
        ('url = "https://h/mcp"\nscopes = ["a b"]', "scopes: expected a list of scopes, one word each"),
        ('url = "https://h/mcp"\ntransport = "ws"', 'transport: expected one of "auto", "http", "sse"'),
    ],
)
def test_anything_else_is_refused_with_its_key(folder: Path, toml: str, expectation: str) -> None:
    file = folder / "config.toml"
    file.write_text(f"[mcp.house]\n{toml}\n")
    with pytest.raises(BadConfig) as refused:
        load(file)
    assert refused.value.sentence == f"{file}: mcp.house.{expectation}"
