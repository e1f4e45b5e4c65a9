"""What the server has granted: codes, rotating refresh tokens in families, access tokens. No HTTP."""

import base64
import hashlib
import secrets
import time
from typing import Any

from msgspec import Struct


class Settings(Struct, kw_only=True):
    """May be changed while the server runs."""

    host: str = "127.0.0.1"  # as written in the issuer; the socket is on 127.0.0.1 whatever the name
    access_ttl: float = 3600.0  # lifetimes, in seconds
    code_ttl: float = 60.0
    rotate: bool = True
    punish: bool = True  # a refresh token used twice revokes the whole family
    grace: float = 0.0  # seconds in which a spent refresh token works once more
    expires_in: bool = True  # whether answers say it
    refresh_token: bool = True  # whether there are any
    iss: bool = True  # RFC 9207
    claude: bool = False  # Claude's quirks (claude.md): see endpoints.py
    trusts: str = ""  # issuer whose identity tokens are taken for access tokens (RFC 7523)
    id_token_ttl: float = 3600.0
    id_token_on_refresh: bool = False  # OpenID Connect Core §12.2 leaves it to the server
    device: bool = False  # whether there is a device grant (RFC 8628)
    device_ttl: float = 600.0
    device_interval: float = 5.0
    device_complete: bool = True  # whether an address with the code in it is given, too
    registration: bool = False  # whether clients may register themselves (RFC 7591)
    auth_methods: tuple[str, ...] = ("none", "client_secret_basic", "client_secret_post")
    client_id_metadata: bool = False  # whether the URL of a document is taken for a client id
    offline: bool = True  # whether there is a scope for refresh tokens


class Refusal(Exception):
    """An OAuth error (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


class Asked(Struct, kw_only=True):
    """An authorization request, and who agreed to it."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    nonce: str
    challenge: str
    subject: str = ""
    resource: str = ""  # what the tokens are for (RFC 8707)


class Family(Struct, kw_only=True):
    """All that came of one consent. Ends as a whole."""

    asked: Asked
    first: str = ""  # the refresh token it began with
    live: str = ""  # the refresh token that is good
    ended: bool = False
    generations: int = 0


class Grants:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reuses = 0
        self.issued: list[str] = []  # every secret that was given out, for tests that search for them
        self._codes: dict[str, tuple[Asked, float]] = {}
        self._spent_codes: dict[str, Family] = {}
        self._refresh: dict[str, Family] = {}
        self._spent: dict[str, float] = {}  # refresh token -> when
        self._access: dict[str, tuple[Family, float]] = {}
        self.families: list[Family] = []  # of all consents, in their order

    def code(self, asked: Asked) -> str:
        code = self.new("code")
        self._codes[code] = (asked, time.time() + self.settings.code_ttl)
        return code

    def exchange(self, code: str, client_id: str, redirect_uri: str, verifier: str, state: str | None) -> "Given":
        """`state` is compared only where the client's profile sends it."""
        if family := self._spent_codes.get(code):
            family.ended = True  # RFC 6749 §4.1.2: a code used twice
            raise Refusal("invalid_grant", "code already used")
        asked, until = self._codes.pop(code, (None, 0.0))
        if asked is None or time.time() > until:
            raise Refusal("invalid_grant", "code unknown or expired")
        if asked.client_id != client_id or asked.redirect_uri != redirect_uri:
            raise Refusal("invalid_grant", "code was given to another client or redirect_uri")
        if state is not None and state != asked.state:
            raise Refusal("invalid_grant", "state differs")
        digest = hashlib.sha256(verifier.encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked.challenge:
            raise Refusal("invalid_grant", "PKCE verification failed")
        family = Family(asked=asked)
        self._spent_codes[code] = family
        self.families.append(family)
        return self.give(family)

    def refresh(self, token: str, client_id: str) -> "Given":
        family = self._refresh.get(token)
        if family is None or family.asked.client_id != client_id:
            raise Refusal("invalid_grant", "refresh token unknown")
        if family.ended:
            raise Refusal("invalid_grant", "grant was revoked")
        if token != family.live and time.time() - self._spent[token] > self.settings.grace:
            self.reuses += 1
            family.ended = self.settings.punish
            raise Refusal("invalid_grant", "refresh token already used")
        return self.give(family)

    def give(self, family: Family) -> "Given":
        access = self.new("at")
        self._access[access] = (family, time.time() + self.settings.access_ttl)
        refresh = ""
        if self.settings.refresh_token and (self.settings.rotate or not family.live):
            if family.live:
                self._spent[family.live] = time.time()
            refresh = family.live = self.new("rt")
            self._refresh[refresh] = family
            family.first = family.first or refresh
        family.generations += 1
        return Given(family=family, access=access, refresh=refresh)

    def give_alone(self, asked: Asked) -> "Given":
        """An access token and no refresh token, as whoever needs no person gets it."""
        family = Family(asked=asked, generations=1)
        access = self.new("at")
        self._access[access] = (family, time.time() + self.settings.access_ttl)
        return Given(family=family, access=access, refresh="")

    def revoke(self, token: str) -> None:
        if family := self._refresh.get(token):
            family.ended = True
        self._access.pop(token, None)

    def end_all(self) -> None:
        for family in self._refresh.values():
            family.ended = True

    def active(self, token: str) -> Family | None:
        """The family of a token that is good now."""
        if family := self._refresh.get(token):
            return family if family.live == token and not family.ended else None
        holder, until = self._access.get(token, (None, 0.0))
        return holder if holder and not holder.ended and time.time() < until else None

    def new(self, kind: str) -> str:
        token = f"{kind}-{secrets.token_urlsafe(24)}"
        self.issued.append(token)
        return token


class Given(Struct, frozen=True, kw_only=True):
    family: Family
    access: str
    refresh: str  # empty: none, or keep the one spent


def claims(asked: Asked) -> dict[str, Any]:
    """Who that is, as far as the scopes go."""
    said: dict[str, Any] = {"sub": asked.subject}
    if "email" in asked.scopes:
        said |= {"email": f"{asked.subject}@example.test", "email_verified": True}
    if "profile" in asked.scopes:
        said |= {"name": asked.subject, "preferred_username": asked.subject}
    return said
