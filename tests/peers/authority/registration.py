"""The server's clients: the three it begins with, documents that are one, and those that register (RFC 7591)."""

import secrets
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from peers.authority.grants import Grants, Refusal, Settings

_WAYS = {"none": "none", "client_secret_basic": "basic", "client_secret_post": "post"}


class Registered(Struct, frozen=True, kw_only=True):
    way: str
    secret: str
    redirects: tuple[str, ...]
    asked: dict[str, Any]  # as it was sent


class Clients:
    """`registered`: by client id, in order. It compares redirect URIs letter by letter, as many servers do."""

    def __init__(self, settings: Settings, grants: Grants, usual: Mapping[str, str]) -> None:
        self.registered: dict[str, Registered] = {}
        self._settings = settings
        self._grants = grants
        self._usual = usual

    def register(self, asked: dict[str, Any]) -> dict[str, Any]:
        method = asked.get("token_endpoint_auth_method", "client_secret_basic")
        if method not in self._settings.auth_methods:
            raise Refusal("invalid_client_metadata", f"token_endpoint_auth_method {method} is not taken")
        if asked.get("application_type") != "native" or not asked.get("redirect_uris"):
            raise Refusal("invalid_redirect_uri", "http on loopback is for native clients")
        client_id = f"client-{secrets.token_urlsafe(8)}"
        secret = "" if method == "none" else self._grants.new("secret")
        self.registered[client_id] = Registered(
            way=_WAYS[method], secret=secret, redirects=tuple(asked["redirect_uris"]), asked=asked
        )
        told = {"client_id": client_id, "client_secret": secret, "client_secret_expires_at": 0}
        return asked | (told if secret else {"client_id": client_id})

    def forget(self) -> None:
        """As a server does that keeps them in memory, when it starts anew."""
        self.registered.clear()

    def knows(self, client_id: str) -> bool:
        return self.way(client_id) != ""

    def way(self, client_id: str) -> str:
        """How it proves itself; empty: there is none of that id."""
        if one := self.registered.get(client_id):
            return one.way
        document = self._settings.client_id_metadata and client_id.startswith("https://")
        return "none" if document else self._usual.get(client_id, "")

    def secret(self, client_id: str) -> str:
        """Empty: none of its own."""
        one = self.registered.get(client_id)
        return one.secret if one else ""

    def may_redirect(self, client_id: str, uri: str, *, usual: bool) -> bool:
        one = self.registered.get(client_id)
        return uri in one.redirects if one else usual
