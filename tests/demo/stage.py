"""What stands opposite aixtiv in the demo: npm's oidc-provider where Node runs it, else the project's own server."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from peers.presence import OIDC, why_no_oidc_provider
from peers.provider import SCOPES, Provider, started

LIFE: Final = 8  # seconds of an access token: refreshed at about half of it


class Server(Protocol):
    """An authorization server, as far as the demo asks of it."""

    @property
    def name(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def refreshes(self) -> int: ...
    @property
    def reuses(self) -> int: ...
    @property
    def issued(self) -> set[str]:
        """Every token and code that the server has given out."""
        ...

    def active(self, token: str) -> bool:
        """Whether an API would take that token: the server's own word (RFC 7662, or OpenID Connect's userinfo)."""
        ...


class RealServer:
    """npm's oidc-provider."""

    def __init__(self, provider: Provider) -> None:
        version = json.loads((OIDC / "node_modules/oidc-provider/package.json").read_text())["version"]
        self.name: Final = f"npm oidc-provider {version}, a certified OpenID provider"
        self.issuer: Final = provider.issuer
        self._provider = provider

    @property
    def refreshes(self) -> int:
        return self._provider.refreshes

    @property
    def reuses(self) -> int:
        return self._provider.reuses

    @property
    def issued(self) -> set[str]:
        return self._provider.issued

    def active(self, token: str) -> bool:
        return self._provider.active(token)


class OwnServer:
    """tests/peers/authorization.py as a process."""

    def __init__(self, issuer: str, why: str) -> None:
        self.name: Final = f"the project's own test server ({why})"
        self.issuer: Final = issuer
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def refreshes(self) -> int:
        return int(self._get("/control/state")["refreshes"])

    @property
    def reuses(self) -> int:
        return int(self._get("/control/state")["reuses"])

    @property
    def issued(self) -> set[str]:
        return set(self._get("/control/state")["secrets"])

    def active(self, token: str) -> bool:
        form = urlencode({"token": token, "client_id": "native"}).encode()
        with self._direct.open(f"{self.issuer}/introspect", form, timeout=30) as answer:
            return bool(json.load(answer)["active"])

    def _get(self, path: str) -> Any:
        with self._direct.open(f"{self.issuer}{path}", timeout=30) as answer:
            return json.load(answer)


@contextmanager
def server() -> Iterator[Server]:
    """For the length of the block. Public client `native`, scopes as in peers.provider.SCOPES."""
    if why := why_no_oidc_provider():
        with _own(why) as own:
            yield own
    else:
        with started(accessToken=LIFE) as provider:
            yield RealServer(provider)


@contextmanager
def _own(why: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "peers.authorization", "--access-ttl", str(LIFE)]
    tests = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=tests, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield OwnServer(json.loads(process.stdout.readline())["issuer"], why)
        finally:
            process.terminate()


def options(issuer: str) -> tuple[str, ...]:
    """What a person types after `aixtiv login NAME`."""
    return ("--issuer", issuer, "--client-id", "native", "--scope", " ".join(SCOPES))
