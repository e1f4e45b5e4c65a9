"""What the oauth tests have: an Endpoint on the real clock, and clients of the project's own authorization server."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.config import Network
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web
from peers.authorization import AuthorizationServer

ClientAt = Callable[..., Client]


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web(Network())
    yield web
    await web.aclose()


@pytest.fixture
def endpoint(web: Web) -> Endpoint:
    return Endpoint(web, SystemClock(), timeout=10)


@pytest.fixture
def client_at() -> ClientAt:
    """A client of that server, as discovery would have found it."""

    def make(server: AuthorizationServer, auth: Literal["none", "basic", "post"] = "none", **changed: Any) -> Client:
        known: dict[str, Any] = {
            "provider": "peer",
            "issuer": server.issuer,
            "client_id": "native" if auth == "none" else auth,
            "client_auth": auth,
            "client_secret": None if auth == "none" else Secret(server.secret),
            "authorization_endpoint": f"{server.issuer}/authorize",
            "token_endpoint": f"{server.issuer}/token",
            "revocation_endpoint": f"{server.issuer}/revoke",
            "introspection_endpoint": f"{server.issuer}/introspect",
            "userinfo_endpoint": f"{server.issuer}/userinfo",
            "jwks_uri": f"{server.issuer}/jwks",
            "scopes": ("openid", "email", "api:read"),
        }
        return Client(**(known | changed))

    return make
