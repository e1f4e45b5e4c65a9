"""A Kubernetes API server on loopback, as much of one as `kubectl get --raw` needs: it takes bearer tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from peers.certificates import certificate
from peers.served import served


class Cluster:
    """While its block runs. `seen`: each Authorization it was shown."""

    def __init__(self, folder: Path) -> None:
        self.taken: set[str] = set()
        self.seen: list[str] = []
        self.folder = folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.socket = certificate(folder, also="localhost").wrap_socket(self.server.socket, server_side=True)
        self.place = f"127.0.0.1:{self.server.server_port}"

    def kubeconfig(self, *arguments: str, cluster_info: bool = True, version: str = "v1") -> Path:
        """One that has `aixtiv kubectl` run. `arguments`: behind that."""
        asked: dict[str, Any] = {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": "aixtiv",
            "args": ["kubectl", *arguments],
            "interactiveMode": "Never",
            "provideClusterInfo": cluster_info,
        }
        cluster = {"server": f"https://{self.place}", "certificate-authority": str(self.folder / "cert.pem")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "one", "cluster": cluster}],
            "users": [{"name": "me", "user": {"exec": asked}}],
            "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
            "current-context": "here",
        }
        path = self.folder / "kubeconfig"
        path.write_bytes(msgspec.json.encode(config))  # YAML has JSON within it
        path.chmod(0o600)
        return path


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    folder.mkdir(mode=0o700, exist_ok=True)
    made = Cluster(folder)
    with served(made.server):
        yield made


def _handler(made: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = self.headers.get("Authorization", "")
            made.seen.append(said)
            taken = said.partition(" ")[2] in made.taken
            body = b"ok" if taken else b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":401}'
            self.send_response(200 if taken else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    return Handler
