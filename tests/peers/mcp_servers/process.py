"""That server as a process, and how a blocking test talks to it."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from peers import processes
from peers.authority.process import Running

_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RemoteServer:
    def __init__(self, url: str) -> None:
        self.url = url
        self._before = 0
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def renew(self) -> None:
        """What was heard until now is forgotten, and so are the sessions."""
        self._before = 0
        self.forget()
        self._before = len(self.heard())

    def heard(self, method: str = "") -> list[dict[str, Any]]:
        """Requests, with their headers by name."""
        with _DIRECT.open(f"{self._origin}/heard", timeout=processes.PATIENCE) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
        return [one for one in found[self._before :] if method in ("", one["method"])]

    @property
    def tokens(self) -> list[str]:
        """That came, each once, in their order."""
        shown = [one["headers"].get("authorization", "") for one in self.heard()]
        return list(dict.fromkeys(one.removeprefix("Bearer ") for one in shown if one))

    def go(self) -> None:
        """Lets the tool `wait` answer."""
        processes.asked(urllib.request.Request(f"{self._origin}/go", b""))

    def forget(self) -> None:
        """All sessions."""
        processes.asked(urllib.request.Request(f"{self._origin}/forget", b""))


@contextmanager
def remote_server(authority: Running, *options: str, client: str = "native") -> Iterator[RemoteServer]:
    """For the length of the block, with the tokens of `authority`."""
    words = ["--issuer", authority.issuer, "--introspection", f"{authority.issuer}/introspect", "--client", client]
    with processes.running("peers.mcp_servers.server", *words, *options) as ready:
        yield RemoteServer(ready["url"])
