"""A real MCP client (PyPI's `mcp`) that reaches its server by `aixtiv mcp`: the conformance suite starts it with a URL.

Lists everything there is, calls and reads it, and says on stdout, as one JSON object, what it was answered. Ends with 1
where something failed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from typing import Any, Final

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.session import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from peers.machine import SCRIPTS

AIXTIV: Final = str(SCRIPTS / "aixtiv")
NAME: Final = "conformance"  # of the server, where one is configured
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {"add_numbers": {"a": 5, "b": 3}}  # of the tools that want some


def main() -> None:
    asked = _asked()
    server = StdioServerParameters(command=AIXTIV, args=["mcp", _configured(asked)], env=dict(os.environ))
    said: dict[str, Any] = {"tools": [], "answers": [], "failure": ""}
    try:
        asyncio.run(_converse(server, asked, said))
    except* MCPError as failed:
        said["failure"] = _first(failed)
    json.dump(said, sys.stdout)
    sys.exit(bool(said["failure"]))


async def _converse(server: StdioServerParameters, asked: argparse.Namespace, said: dict[str, Any]) -> None:
    async with Client(server, mode=asked.mode, elicitation_callback=_accept) as client:
        tools = (await client.list_tools()).tools
        said["tools"] = [tool.name for tool in tools]
        arguments = {**ARGUMENTS, "json_schema_echo": {"schema": tools[0].input_schema if tools else {}}}
        arguments |= {call["name"]: call["arguments"] for call in _told().get("toolCalls", ())}
        for _ in range(asked.calls):
            for name in said["tools"]:
                result = await client.call_tool(name, arguments.get(name, {}))
                said["answers"] += [part.text for part in result.content if part.type == "text"]
        if client.server_capabilities.resources:
            for resource in (await client.list_resources()).resources:
                await client.read_resource(resource.uri)
        if client.server_capabilities.prompts:
            for prompt in (await client.list_prompts()).prompts:
                await client.get_prompt(prompt.name)


async def _accept(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """The server asks the person: all is taken as it proposes."""
    del context
    wanted = getattr(params, "requested_schema", {}).get("properties", {})
    return ElicitResult(action="accept", content={name: it["default"] for name, it in wanted.items()})


def _first(failed: BaseException) -> str:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return str(failed)


def _configured(asked: argparse.Namespace) -> str:
    """What `aixtiv mcp` is called with: the URL, or the name of a server that was added as a person would."""
    told = _told()
    options = ["--client-id-metadata", asked.metadata] if asked.metadata else []
    options += ["--client-id", told["client_id"]] if "client_id" in told else []
    if not options and not asked.key:
        return str(asked.url)
    _type("mcp", "add", NAME, asked.url, *options)
    if secret := told.get("client_secret"):
        _type("login", NAME, "--client-secret", *asked.robot, stdin=f"{secret}\n")
    if asked.key:
        _type("api-key", "set", NAME, "--endpoint", asked.url.removesuffix("/mcp"), stdin=f"{asked.key}\n")
    return NAME


def _told() -> dict[str, Any]:
    """What the suite says beside the URL."""
    told: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    return told


def _type(*words: str, stdin: str = "") -> None:
    ran = subprocess.run([AIXTIV, *words], input=stdin, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"aixtiv {' '.join(words)}: exit {ran.returncode}: {ran.stderr}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="legacy")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--metadata", default="", help="URL of a client-id metadata document")
    parser.add_argument("--robot", action="store_const", const=["--client-credentials"], default=[], help="no person")
    parser.add_argument("--key", default="", help="seal this one, for a server that never asks anybody to sign in")
    parser.add_argument("url")
    return parser.parse_args()


if __name__ == "__main__":
    main()
