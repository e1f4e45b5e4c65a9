"""A real remote MCP server, by PyPI `mcp`, that asks an authorization server about every token: a process of its own.

    python -m peers.mcp_servers.server --issuer URL --introspection URL [--client ID --secret SECRET] [--transport sse]

Prints {"url": …} once it listens. `GET /heard` says what came in, with the tokens; `POST /forget` ends all sessions.
"""

import argparse
import asyncio
import base64
import json
import socket
import urllib.parse
import urllib.request
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage
from pydantic import AnyHttpUrl, BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Asking:
    """A token is good if the authorization server says so (RFC 7662)."""

    def __init__(self, at: argparse.Namespace) -> None:
        self._at = at

    async def verify_token(self, token: str) -> AccessToken | None:
        said = await asyncio.to_thread(self._asked, token)
        if not said.get("active"):
            return None
        scopes = said.get("scope", "").split()
        return AccessToken(token=token, client_id=said["client_id"], scopes=scopes, resource=said.get("aud"))

    def _asked(self, token: str) -> dict[str, Any]:
        form = {"token": token} | ({} if self._at.secret else {"client_id": self._at.client})
        request = urllib.request.Request(self._at.introspection, urllib.parse.urlencode(form).encode())
        if self._at.secret:
            pair = f"{self._at.client}:{urllib.parse.quote_plus(self._at.secret)}"
            request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found


class Memory(EventStore):
    """Every event there was, so that a stream that broke off goes on where it did."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        stream, _ = self._events[int(last_event_id) - 1]
        for number, (its, message) in enumerate(self._events[int(last_event_id) :], int(last_event_id) + 1):
            if its == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Heard:
    """What came in, and what the test wants to be done with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/heard":
            await JSONResponse(self.requests)(scope, receive, send)
            return
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.requests.append({"method": scope["method"], "path": scope["path"], "headers": headers})
        await self._app(scope, receive, send)


class Colour(BaseModel):
    colour: str


def served(at: argparse.Namespace, url: str) -> ASGIApp:
    auth = AuthSettings(
        issuer_url=AnyHttpUrl(at.issuer),
        resource_server_url=AnyHttpUrl(url),
        required_scopes=at.scope or None,
        validate_token_resource=at.for_itself,
    )
    server = MCPServer("house", auth=auth, token_verifier=Asking(at), log_level="ERROR")
    _furnish(server)

    @server.custom_route("/forget", methods=["POST"])  # type: ignore[untyped-decorator]  # mcp's own
    async def forget(_: Request) -> Response:
        if at.transport == "http":
            server.session_manager._server_instances.clear()
        return JSONResponse({})

    if at.transport == "sse":
        return Heard(server.sse_app())
    return Heard(
        server.streamable_http_app(
            json_response=at.json,
            stateless_http=at.stateless,
            event_store=Memory() if at.resumable else None,
            retry_interval=50 if at.resumable else None,
        )
    )


def _furnish(server: MCPServer) -> None:
    """Its tools, and how a test lets one of them go on."""
    gate = asyncio.Event()

    @server.tool()
    def add(a: int, b: int) -> int:
        """The sum."""
        return a + b

    @server.tool()
    def echo(text: str) -> str:
        """What it is given."""
        return text

    @server.tool()
    async def steps(context: Context, many: int) -> str:
        """Tells how far it is, as often."""
        for number in range(many):
            await context.report_progress(number + 1, many)
        return "done"

    @server.tool()
    async def broken(context: Context) -> str:
        """Answers on another stream than the one on which it was asked."""
        await context.close_sse_stream()
        return "mended"

    @server.tool()
    async def wait() -> str:
        """Answers when the test says so."""
        await gate.wait()
        return "at last"

    @server.tool()
    async def ask(context: Context) -> str:
        """Asks whoever asks."""
        answer = await context.elicit("which colour?", Colour)
        return answer.data.colour if answer.action == "accept" else answer.action

    @server.custom_route("/go", methods=["POST"])  # type: ignore[untyped-decorator]  # mcp's own
    async def go(_: Request) -> Response:
        gate.set()
        return JSONResponse({})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--introspection", required=True)
    parser.add_argument("--client", default="native")
    parser.add_argument("--secret", default="")
    parser.add_argument("--transport", choices=["http", "sse"], default="http")
    parser.add_argument("--scope", action="append")
    for name in ("json", "stateless", "resumable", "for-itself"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    at = parser.parse_args()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", at.port))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/{'sse' if at.transport == 'sse' else 'mcp'}"
        config = uvicorn.Config(served(at, url), log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        print(json.dumps({"url": url}), flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
