"""A person's machine with a remote MCP server on it, as the older command's file names it, and a real client."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from mcp import Client, StdioServerParameters

from peers.authority.process import Running, authorization_server
from peers.bridged import Bridge
from peers.machine import PATIENCE, Machine
from peers.mcp_servers.process import RemoteServer, remote_server

NAME: Final = "ctt-mcp"
_TESTS: Final = Path(__file__).parents[2]


class Scene:
    def __init__(self, machine: Machine, authority: Running, server: RemoteServer, folder: Path) -> None:
        self.machine = machine
        self.authority = authority
        self.server = server
        self.errors: Final = folder / "stderr"  # of the bridges that a real client starts
        self.visits: Final = folder / "visits"
        self.browser = person_for(folder, self.visits)

    def filed(self) -> None:
        """As the older command's file has it."""
        auth = {
            "type": "oauth2",
            "client_id": "${CLAUDE_OAUTH_CLIENT_ID}",
            "token_endpoint": f"{self.authority.issuer}/token",
            "auth_endpoint": f"{self.authority.issuer}/authorize",
            "redirect_uri": "http://localhost/callback",
            "scopes": ["api:read", "offline_access"],
        }
        entry = {"url": self.server.url, "region": "us-west1", "project": "api-for-warp-drive", "auth": auth}
        path = self.machine.config.with_name("claude.desktop.config.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"servers": {NAME: entry}}))
        path.chmod(0o600)

    @asynccontextmanager
    async def client(self, *, mode: str = "legacy", name: str = NAME, **asked: Any) -> AsyncIterator[Client]:
        """PyPI's client, which starts `aixtiv mcp`."""
        environ = self.machine.environ | {"BROWSER": self.browser, "CLAUDE_OAUTH_CLIENT_ID": "native"}
        server = StdioServerParameters(command=str(self.machine.scripts / "aixtiv"), args=["mcp", name], env=environ)
        async with Client(server, mode=mode, **asked) as client:
            yield client

    @contextmanager
    def bridge(self, name: str = NAME) -> Iterator["Talk"]:
        """`aixtiv mcp`, spoken to line by line."""
        environ = {"BROWSER": self.browser, "CLAUDE_OAUTH_CLIENT_ID": "native"}
        with self.machine.running("mcp", name, **environ) as process:
            yield Talk(process)

    @property
    def visited(self) -> int:
        """How often a browser was opened."""
        return len(self.visits.read_text().splitlines()) if self.visits.exists() else 0


class Talk(Bridge):
    """What no well-behaved client does, too."""

    def write(self, text: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def deaf(self) -> None:
        """Reads no more."""
        assert self._process.stdout
        self._process.stdout.close()

    def ended(self) -> int:
        return self._process.wait(PATIENCE)


def person_for(folder: Path, visits: Path) -> str:
    """A command for $BROWSER that signs in."""
    script = folder / "person.sh"
    walk = "import sys; from peers.person import sign_in; sign_in(sys.argv[1])"
    command = f"PYTHONPATH={_TESTS} exec {sys.executable} -c '{walk}' \"$1\" 2>> {visits}.log"
    script.write_text(f"#!/bin/sh\necho x >> {visits}\n{command}\n")
    script.chmod(0o700)
    return f"{script} %s"


@contextmanager
def opposite(*options: str) -> Iterator[tuple[Running, RemoteServer]]:
    """An authorization server, and a remote server that trusts it. `options`: of that."""
    with authorization_server() as authority, remote_server(authority, *options) as server:
        yield authority, server


@contextmanager
def scene(folder: Path, there: tuple[Running, RemoteServer], life: float = 3600.0) -> Iterator[Scene]:
    """`life`: seconds of a token."""
    authority, server = there
    authority.renew()
    authority.tell(access_ttl=life)
    server.renew()
    with Machine(folder) as machine:
        found = Scene(machine, authority, server, folder)
        found.filed()
        machine.start()
        yield found
