"""A git host on loopback: real `git http-backend` behind a server that lets in who shows a token it takes."""

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from peers.served import served

BACKEND: Final = "/usr/lib/git-core/git-http-backend"


class GitHost:
    """While its block runs. `seen`: each Authorization, in the order of the requests ("" where there was none)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: set[str] = set()  # tokens that are let in
        self.seen: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.place}"

    def repository(self, name: str) -> str:
        """A bare one with one commit; its URL."""
        path = self.folder / name
        work = self.folder / "work"
        _git("init", "-q", "-b", "main", work)
        _git("-C", work, "commit", "-q", "--allow-empty", "-m", "first")
        _git("clone", "-q", "--bare", work, path)
        return f"{self.url}/{name}"

    def shown(self) -> list[tuple[str, str]]:
        """What was shown: user name and password."""
        pairs = [base64.b64decode(said.partition(" ")[2]).decode() for said in self.seen if said.startswith("Basic ")]
        return [(user, password) for user, _, password in (pair.partition(":") for pair in pairs)]


def _git(*words: str | Path) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True, env=_environ())


def _environ() -> dict[str, str]:
    who = {f"GIT_{role}_{what}": "ada@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return who | {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}


@contextmanager
def git_host(folder: Path) -> Iterator[GitHost]:
    folder.mkdir(mode=0o700, exist_ok=True)
    host = GitHost(folder)
    with served(host.server):
        yield host


def _handler(host: GitHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

        def _serve(self, body: bytes) -> None:
            said = self.headers.get("Authorization", "")
            host.seen.append(said)
            if not self._lets_in(said):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            answer = self._backend(body)
            head, _, rest = answer.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest)

        def _lets_in(self, said: str) -> bool:
            scheme, _, value = said.partition(" ")
            if scheme == "Basic":
                value = base64.b64decode(value).decode().partition(":")[2]
            return value in host.taken

        def _backend(self, body: bytes) -> bytes:
            parts = urlsplit(self.path)
            environ = _environ() | {
                "GIT_PROJECT_ROOT": str(host.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            return subprocess.run([BACKEND], env=environ, input=body, capture_output=True, check=True).stdout

    return Handler
