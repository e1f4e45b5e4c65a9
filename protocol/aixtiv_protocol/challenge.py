"""What a resource asks for when it turns a call away: its `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3)."""

import re
from itertools import islice
from typing import Final

from msgspec import Struct

_LONGEST: Final = 16 * 1024  # characters of it that are looked at
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_PART: Final = re.compile(
    rf"[ \t,]*(?:{_PARAMETER.pattern}|({_TOKEN})(?:[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?)"
)
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_MOST_SCOPES: Final = 100
_LONGEST_SCOPE: Final = 256  # characters


class Challenge(Struct, frozen=True, kw_only=True):
    """Of the scheme Bearer; an empty field was not said."""

    resource_metadata: str = ""  # RFC 9728 §5.1
    scope: tuple[str, ...] = ()
    error: str = ""


def read_challenge(header: str) -> Challenge | None:
    """None where no such scheme is among what the header offers. Pure; raises nothing."""
    said: dict[str, str] | None = None
    scheme, at = "", 0
    header = header[:_LONGEST]
    while found := _PART.match(header, at):
        at = found.end()
        name, quoted, plain, new_scheme = found.groups()
        if new_scheme:
            scheme = new_scheme.lower()
            said = {} if scheme == "bearer" and said is None else said
        elif scheme == "bearer" and said is not None:
            said.setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    if said is None:
        return None
    return Challenge(
        resource_metadata=said.get("resource_metadata", ""),
        scope=fit_scopes(said.get("scope", "").split()),
        error=said.get("error", "")[:100],
    )


def fit_scopes(scopes: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """What can be asked for of them, each once and not endlessly many: they go into an address that a browser takes."""
    fit = dict.fromkeys(scope for scope in scopes if len(scope) <= _LONGEST_SCOPE and _SCOPE.fullmatch(scope))
    return tuple(islice(fit, _MOST_SCOPES))
