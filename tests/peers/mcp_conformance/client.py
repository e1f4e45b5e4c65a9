"""A real MCP client (PyPI's `mcp`) that reaches its server by `aixtiv mcp`: the conformance suite starts it with a URL.

Says on stdout, as one JSON object, what it was answered. Ends with 1 where a call failed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from typing import Any, Final

from mcp import Client, MCPError, StdioServerParameters

from peers.machine import SCRIPTS

AIXTIV: Final = str(SCRIPTS / "aixtiv")
NAME: Final = "conformance"  # of the server, where one is configured
TOOL: Final = "test-tool"


def main() -> None:
    asked = _asked()
    server = StdioServerParameters(command=AIXTIV, args=["mcp", _configured(asked)], env=dict(os.environ))
    said: dict[str, Any] = {"tools": [], "answers": [], "failure": ""}
    try:
        asyncio.run(_converse(server, asked, said))
    except* MCPError as failed:
        said["failure"] = str(failed.exceptions[0])
    json.dump(said, sys.stdout)
    sys.exit(bool(said["failure"]))


async def _converse(server: StdioServerParameters, asked: argparse.Namespace, said: dict[str, Any]) -> None:
    async with Client(server, mode=asked.mode) as client:
        said["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        for _ in range(asked.calls):
            result = await client.call_tool(TOOL, {})
            said["answers"] += [part.text for part in result.content if part.type == "text"]


def _configured(asked: argparse.Namespace) -> str:
    """What `aixtiv mcp` is called with: the URL, or the name of a server that was added as a person would."""
    told = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    options = ["--client-id-metadata", asked.metadata] if asked.metadata else []
    options += ["--client-id", told["client_id"]] if told else []
    if not options:
        return str(asked.url)
    _type("mcp", "add", NAME, asked.url, *options)
    if secret := told.get("client_secret"):
        _type("login", NAME, "--client-secret", stdin=f"{secret}\n")
    return NAME


def _type(*words: str, stdin: str = "") -> None:
    ran = subprocess.run([AIXTIV, *words], input=stdin, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"aixtiv {' '.join(words)}: exit {ran.returncode}: {ran.stderr}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="legacy")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--metadata", default="", help="URL of a client-id metadata document")
    parser.add_argument("url")
    return parser.parse_args()


if __name__ == "__main__":
    main()
