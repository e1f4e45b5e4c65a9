"""The environment in which `aixtiv exec` runs a command, pure: where Claude is, and a ticket instead of a secret."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK: Final = "127.0.0.1,localhost,::1"


class Launch(Struct, frozen=True):
    environ: dict[str, str]
    notes: tuple[str, ...] = ()  # what the person should know was changed


def with_ticket(environ: Mapping[str, str], *, base_url: str, ticket: str, agent: str = "") -> Launch:
    """Claude's SDKs and Claude Code find the gateway by `ANTHROPIC_…`; anything else by `AIXTIV_…`."""
    changed = {
        **environ,
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_AUTH_TOKEN": ticket,
        "AIXTIV_BASE_URL": base_url,
        "AIXTIV_TICKET": ticket,
        **_named(agent),
        **_beside_proxies(environ),
    }
    return _unshadowed(changed)


def with_token(environ: Mapping[str, str], *, name: str, token: str, agent: str = "") -> Launch:
    """The real token, in a variable of the caller's choosing."""
    changed = {**environ, name: token, **_named(agent)}
    return _unshadowed(changed) if name == "ANTHROPIC_AUTH_TOKEN" else Launch(changed)


def _unshadowed(environ: dict[str, str]) -> Launch:
    """SDKs take an API key before a token, and Claude Code warns of two."""
    left = {name: value for name, value in environ.items() if name != "ANTHROPIC_API_KEY"}
    told = "ANTHROPIC_API_KEY is left out of the command's environment: it would be used instead"
    return Launch(left, (told,) if environ.get("ANTHROPIC_API_KEY") else ())


def _named(agent: str) -> dict[str, str]:
    return {"AIXTIV_AGENT_ID": agent} if agent else {}


def _beside_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """A proxy would be handed the ticket, and could not reach our loopback. Programs differ in which case they read."""
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return {}
    named = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    if named.strip() == "*":
        return {}
    everything = f"{named},{_LOOPBACK}" if named else _LOOPBACK
    return {"no_proxy": everything, "NO_PROXY": everything}
