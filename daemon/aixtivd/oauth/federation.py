"""An identity token that is shown to another server (RFC 7523 §2.1): its form, its life, and what goes with it."""

import base64
import re
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from aixtiv_protocol.requests import Federation
from aixtiv_protocol.secret import Secret
from aixtivd.oauth.words import shown

LONGEST: Final = 16 * 1024
"""Characters of an assertion (claude.md: what Anthropic takes)."""

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515 §7.1, signed


class Life(Struct, frozen=True):
    """The claims that say when a JWT ends (RFC 7519 §4.1). Unix time."""

    exp: float = 0.0  # 0: not said
    iat: float = 0.0


class Holder(Struct, frozen=True):
    """The claims that say whose a JWT is. A subject means something only together with its issuer."""

    iss: str = ""
    sub: str = ""


T = TypeVar("T")


def as_assertion(text: str) -> Secret | None:
    """None for what cannot be an identity token. Only its form counts here: the server it is shown to checks it."""
    stripped = text.strip()
    return Secret(stripped) if len(stripped) <= LONGEST and _JWT.fullmatch(stripped) else None


def good_for(id_token: Secret, now: float) -> float:
    """Seconds for which it can still be shown, less what the way there takes; infinite where it does not say."""
    life = _claims(id_token, Life())
    if not life.exp:
        return float("inf")
    way = min(60.0, (life.exp - life.iat) / 2 if 0 < life.iat < life.exp else 60.0)
    return life.exp - now - way


def expiry_of(id_token: Secret) -> float:
    """Unix time; 0: it does not say."""
    return _claims(id_token, Life()).exp


def holder_of(id_token: Secret) -> tuple[str, str]:
    """Issuer and subject, as it says; empty where it does not. Nothing is proved by that: see `oauth/identity.py`."""
    holder = _claims(id_token, Holder())
    return holder.iss, holder.sub


def named(holder: tuple[str, str]) -> str:
    """For a sentence."""
    issuer, subject = holder
    return shown(f"{subject or 'nobody'} at {issuer}")


def _claims(id_token: Secret, none: T) -> T:
    """`none`, and its type: for what cannot be read."""
    parts = id_token.reveal().split(".")
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=type(none))
    except (IndexError, ValueError, RecursionError):  # msgspec's and base64's are ValueErrors
        return none


def facts(source: Federation) -> dict[str, str]:
    """What Anthropic wants beside the token; a standard server is told nothing of it, for then all are empty."""
    return {
        "federation_rule_id": source.rule,
        "organization_id": source.organization,
        "service_account_id": source.service_account,
        "workspace_id": source.workspace,
    }
