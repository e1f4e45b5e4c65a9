"""What stands opposite aixtiv in the demo: npm's oidc-provider where Node runs it, else our own server; and Claude."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from peers.authority.process import Running, authorization_server
from peers.claude_api.process import RunningClaude, claude_process
from peers.presence import OIDC, why_no_oidc_provider
from peers.provider import Provider, started

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
    def options(self) -> tuple[str, ...]:
        """What a person types after `aixtiv login NAME`."""
        ...

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

    def options(self) -> tuple[str, ...]:
        return self._provider.options()

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

    def __init__(self, running: Running, why: str) -> None:
        self.name: Final = f"the project's own test server ({why})"
        self.issuer: Final = running.issuer
        self._running = running

    def options(self) -> tuple[str, ...]:
        return self._running.options()

    @property
    def refreshes(self) -> int:
        return self._running.refreshes

    @property
    def reuses(self) -> int:
        return self._running.reuses

    @property
    def issued(self) -> set[str]:
        return self._running.issued

    def active(self, token: str) -> bool:
        return self._running.active(token, client="native")


@contextmanager
def server() -> Iterator[Server]:
    """For the length of the block. Its public client is `native`."""
    if why := why_no_oidc_provider():
        with authorization_server("--access-ttl", str(LIFE)) as running:
            yield OwnServer(running, why)
    else:
        with started(accessToken=LIFE) as provider:
            yield RealServer(provider)


class Claude:
    """The stand-in for Claude's API, and beside it a token endpoint with Claude's ways."""

    def __init__(self, api: RunningClaude, server: Running) -> None:
        self.api: Final = api
        self._server = server

    def options(self) -> tuple[str, ...]:
        """What a person types after `aixtiv login anthropic`."""
        issuer = self._server.issuer
        endpoints = ("--authorization-endpoint", f"{issuer}/authorize", "--token-endpoint", f"{issuer}/token")
        return ("--client-id", "native", *endpoints)

    def federation(self, identity: str) -> tuple[str, ...]:
        """The same for an account that is fed by the account `identity`."""
        rule = ("--federation", "fdrl_demo", "--organization", "org_demo")
        return (*rule, "--identity-account", identity, "--token-endpoint", f"{self.api.url}/v1/oauth/token")

    @property
    def issued(self) -> set[str]:
        """Every token and code that either of them has given out."""
        return self._server.issued | set(self.api.until()["issued"])

    def revoke(self) -> None:
        """The token that was given out last, and the grant behind it."""
        self.api.revoke(self._server.newest)
        self._server.tell(end=True)


@contextmanager
def claude(issuer: str) -> Iterator[Claude]:
    """For the length of the block. `issuer`: whose ID tokens it exchanges."""
    with (
        authorization_server("--claude") as running,
        claude_process("--accept-prefix", "at-", "--trust", issuer) as api,
    ):
        yield Claude(api, running)
