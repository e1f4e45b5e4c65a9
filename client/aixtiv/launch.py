"""The environment in which `aixtiv exec` runs a command, pure: where Claude is, and a ticket instead of a secret."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_OUTDOING: Final = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
_SHOWING: Final = ("authorization", "x-api-key")
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
    """SDKs take an API key before a token, Claude Code a token of its own, and both send the headers they are told to.
    What only aixtiv reads, an older name of the key or a client secret, has no business there at all.
    """
    left = {name: _without_credential(name, value) for name, value in environ.items()}
    gone = sorted(name for name, value in environ.items() if value.strip() and left[name] != value)
    made = {name: value for name, value in left.items() if value is not None}
    if not gone:
        return Launch(made)
    them = f"{', '.join(gone[:-1])} and {gone[-1]} are" if gone[1:] else f"{gone[0]} is"
    why = "it would be used instead" if gone == ["ANTHROPIC_API_KEY"] else "no other credential goes along"
    return Launch(made, (f"{them} left out of the command's environment: {why}",))


def _without_credential(name: str, value: str) -> str | None:
    """None: nothing is left of it."""
    if name in _OUTDOING or name.endswith("_OAUTH_CLIENT_SECRET"):
        return None
    if name == "DR_CLAUDE_API":  # an address, or a key (environment.api_key)
        return value if "://" in value else None
    if name == "ANTHROPIC_CUSTOM_HEADERS":  # `Name: value`, one a line
        lines = value.splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition(":")[0].strip().lower() not in _SHOWING)
        return kept if kept.strip() else None
    return value


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
