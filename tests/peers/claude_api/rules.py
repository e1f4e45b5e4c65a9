"""Whom Claude's API lets in: one function over a request's head, and the credentials that are good right now."""

import time
from collections.abc import Sequence
from typing import Final

FLAG: Final = "oauth-2025-04-20"
VERSIONS: Final = ("2023-06-01", "2026-10-21")
TOKEN: Final = "sk-ant-oat01-"
KEY: Final = "sk-ant-api"

# What a proxy must not pass on: hop-by-hop (RFC 9110 §7.6.1), a browser's, and what is between it and its own callers.
_NOT_FOR_US: Final = frozenset(
    {"cookie", "proxy-authorization", "proxy-connection", "keep-alive", "te", "trailer", "upgrade", "referer"}
)
_OWN: Final = "x-aixtiv-"

Headers = Sequence[tuple[str, str]]


class Refused(Exception):
    """An error as Claude words it: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


class Credentials:
    """Accepts every token and key that looks like Claude's, until told otherwise."""

    def __init__(self) -> None:
        self._prefixes: list[str] = [TOKEN, KEY]
        self._accepted: dict[str, float] = {}
        self._revoked: set[str] = set()

    def accept(self, word: str, seconds: float = float("inf")) -> None:
        """That very credential is good, for so long, whatever it looks like."""
        self._revoked.discard(word)
        self._accepted[word] = time.time() + seconds

    def accept_prefix(self, prefix: str) -> None:
        """Whatever begins like that is good, as for the tokens of another authorization server."""
        self._prefixes.append(prefix)

    def accept_only(self, *words: str) -> None:
        """From now on these and no others; without any: none."""
        self._prefixes.clear()
        self._accepted = dict.fromkeys(words, float("inf"))
        self._revoked.clear()

    def revoke(self, *words: str) -> None:
        """These are good no more, and everything that looks like them still is."""
        self._revoked.update(words)

    def why_not(self, word: str) -> str:
        """A sentence for a credential that is not good; empty for one that is."""
        if word in self._revoked:
            return "OAuth token has been revoked. Please obtain a new token."
        if word in self._accepted:
            return "" if time.time() < self._accepted[word] else "OAuth token has expired. Please obtain a new token."
        return "" if word.startswith(tuple(self._prefixes)) else "Invalid bearer token"


def check(headers: Headers, credentials: Credentials) -> None:
    """Raises Refused where the head breaks a rule of claude.md; header names are compared in lower case."""
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    _check_hygiene(named)
    credential, is_key = _credential(named)
    _check_flags(named, is_key=is_key)
    _check_version(named)
    if sentence := credentials.why_not(credential):
        raise _unauthenticated("invalid x-api-key" if is_key else sentence)


def _check_hygiene(named: dict[str, list[str]]) -> None:
    if len(named.get("host", [])) != 1:
        raise _invalid("exactly one Host header is required")
    for name in named:
        if name in _NOT_FOR_US or name.startswith(_OWN):
            raise _invalid(f"{name}: this header has no business here")
    if named.get("connection", ["keep-alive"]) not in (["keep-alive"], ["close"]):
        raise _invalid("connection: only keep-alive or close")
    if "origin" in named:
        raise _unauthenticated("CORS requests are not allowed for this Organization")


def _credential(named: dict[str, list[str]]) -> tuple[str, bool]:
    """The one credential, and whether it is a key."""
    if "anthropic-api-key" in named:
        raise _unauthenticated("x-api-key header is required")
    bearers, keys = named.get("authorization", []), named.get("x-api-key", [])
    if not bearers and not keys:
        raise _unauthenticated("x-api-key header is required")
    if len(bearers) + len(keys) != 1:
        raise _unauthenticated("exactly one of Authorization and x-api-key is expected")
    if keys:
        return keys[0], True
    scheme, _, token = bearers[0].partition(" ")
    if scheme != "Bearer" or not token or token != token.strip():
        raise _unauthenticated("Invalid authorization header")
    return token, False


def _check_flags(named: dict[str, list[str]], *, is_key: bool) -> None:
    values = named.get("anthropic-beta", [])
    flags = [flag.strip() for value in values for flag in value.split(",")]
    if "" in flags:
        raise _invalid("anthropic-beta: a flag is empty")
    if flags.count(FLAG) > 1:
        raise _invalid(f"anthropic-beta: {FLAG} is given more than once")
    if is_key and FLAG in flags:
        raise _invalid(f"anthropic-beta: {FLAG} does not go with an API key")
    if not is_key and FLAG not in flags:
        raise _unauthenticated("OAuth authentication is currently not supported.")


def _check_version(named: dict[str, list[str]]) -> None:
    versions = named.get("anthropic-version", [])
    if not versions:
        raise _invalid("anthropic-version: header is required")
    if len(versions) > 1 or versions[0] not in VERSIONS:
        raise _invalid(f'anthropic-version: "{", ".join(versions)}" is not a valid version')


def _invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def _unauthenticated(message: str) -> Refused:
    return Refused(401, "authentication_error", message)
