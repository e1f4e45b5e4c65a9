"""A remote MCP server with its authorization on one loopback port, which does at any path whatever a test tells it.

Untold it behaves: RFC 9728, RFC 8414, RFC 7591, PKCE, and JSON answers of one tool, `echo`.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from msgspec import Struct

RESOURCE: Final = "/.well-known/oauth-protected-resource/mcp"
METADATA: Final = "/.well-known/oauth-authorization-server"
MCP: Final = "/mcp"
SCOPE: Final = "mcp"


class Asked(Struct, frozen=True):
    """One request that was heard."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def fields(self) -> dict[str, str]:
        """Of the query and of a form."""
        told = parse_qs(urlsplit(self.target).query) | parse_qs(self.body.decode(errors="replace"))
        return {name: values[0] for name, values in told.items()}

    @property
    def message(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read


class Answer(Struct, frozen=True):
    """`body`: in pieces it goes out chunked, for as long as somebody reads."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""


Told = Callable[[Asked], Answer]


def said(facts: object, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """As JSON."""
    return Answer(status, (("Content-Type", "application/json"), *headers), json.dumps(facts).encode())


def sent_on(url: str, status: int = 307) -> Answer:
    return Answer(status, (("Location", url),))


def streamed(pieces: Iterable[bytes]) -> Answer:
    return Answer(200, (("Content-Type", "text/event-stream"),), pieces)


def event(message: object) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


class Hostile:
    """The server while its block runs. `told`: by path, what it does there instead."""

    def __init__(self, port: int) -> None:
        self.url: Final = f"http://127.0.0.1:{port}"
        self.mcp: Final = f"{self.url}{MCP}"
        self.told: Final[dict[str, Told]] = {}
        self.heard: Final[list[Asked]] = []
        self.tokens: Final[list[str]] = []
        self.takes_tokens = True
        self._behaves: Final[dict[str, Told]] = {
            RESOURCE: lambda _: said(self.resource),
            METADATA: lambda _: said(self.metadata),
            "/register": self._register,
            "/authorize": self._authorize,
            "/token": self._token,
            MCP: self.converse,
        }

    # ---- what it says where it behaves

    @property
    def resource(self) -> dict[str, Any]:
        return {"resource": self.mcp, "authorization_servers": [self.url], "scopes_supported": [SCOPE]}

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }

    def _register(self, asked: Asked) -> Answer:
        return said({**asked.message, "client_id": f"client-{len(self.times('/register'))}"}, 201)

    def _authorize(self, asked: Asked) -> Answer:
        back = {"code": "a-code", "state": asked.fields["state"]}
        return sent_on(f"{asked.fields['redirect_uri']}?{urlencode(back)}", 302)

    def _token(self, asked: Asked) -> Answer:
        self.tokens.append(f"at-hostile-{len(self.tokens)}-0123456789abcdef")
        scope = self.times("/authorize")[-1].fields.get("scope", "")
        return said({"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3600, "scope": scope})

    def converse(self, asked: Asked) -> Answer:
        if asked.method != "POST":
            return Answer(405)
        if not self.takes_tokens or asked.headers.get("authorization", "")[7:] not in self.tokens:
            return self.challenge()
        message = asked.message
        if "id" not in message:
            return Answer(202)
        return said({"jsonrpc": "2.0", "id": message["id"], "result": self._result(message)})

    def challenge(self, status: int = 401, **more: str) -> Answer:
        told = {"resource_metadata": f"{self.url}{RESOURCE}", **more}
        words = ", ".join(f'{name}="{value}"' for name, value in told.items())
        return said({"error": "invalid_token"}, status, ("WWW-Authenticate", f"Bearer {words}"))

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["method"]:
            case "initialize":
                version = message["params"]["protocolVersion"]
                server = {"name": "hostile", "version": "1"}
                return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            case "tools/list":
                return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
            case _:
                return {"content": [{"type": "text", "text": json.dumps(message["params"].get("arguments"))}]}

    # ---- what a test asks it

    def times(self, path: str) -> list[Asked]:
        return [asked for asked in self.heard if asked.path == path]

    def answer(self, asked: Asked) -> Answer:
        self.heard.append(asked)
        told = self.told.get(asked.path) or self._behaves.get(asked.path)
        return told(asked) if told else Answer(404)


@contextmanager
def hostile() -> Iterator[Hostile]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        here = Hostile(server.server_address[1])
        server.hostile = here  # type: ignore[attr-defined]  # so that its handlers find it
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        hostile: Hostile = self.server.hostile  # type: ignore[attr-defined]  # see above
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = hostile.answer(Asked(self.command, self.path, headers, body))
        with suppress(OSError):  # somebody has hung up: what many of these are for
            self._send(answer)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815  # the library's names

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            if not any(name == "Content-Length" for name, _ in answer.headers):
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in answer.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Nothing: a test looks at `heard`."""
