"""The old command's environment variables, which go on meaning what they meant (design.md, D17).

Only the command reads them, since it stands in the person's shell and the daemon does not.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

OLD_REDIRECT: Final = "http://localhost:3000/oauth/callback"
OLD_CLAUDE_SCOPES: Final = ("code:generate", "code:execute")


class Found(Struct, frozen=True):
    """What the environment and the old files say about being a client of one provider."""

    settings: ClientSettings
    scopes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # sentences: variables that a file names and nobody has set


def client_settings(environ: Mapping[str, str], provider: str) -> Found:
    """`<PROVIDER>_OAUTH_*`, and for `anthropic` below it `CLAUDE_OAUTH_*`, with the old defaults."""
    return defaulted(provider, said(environ, provider))


def said(environ: Mapping[str, str], provider: str) -> Found:
    """The same without any default."""
    prefixes = [f"{provider.upper().replace('-', '_').replace('.', '_')}_OAUTH_"]
    if provider == "anthropic":
        prefixes.append("CLAUDE_OAUTH_")

    def value(name: str) -> str:
        return next((found for prefix in prefixes if (found := environ.get(prefix + name, "").strip())), "")

    secret = value("CLIENT_SECRET")
    return Found(
        ClientSettings(
            client_id=value("CLIENT_ID"),
            client_secret=Secret(secret) if secret else None,
            redirect_uri=value("REDIRECT_URI"),
            token_endpoint=value("TOKEN_ENDPOINT"),
            authorization_endpoint=value("AUTH_ENDPOINT"),
        ),
        tuple(value("SCOPE").split()),
    )


def defaulted(provider: str, found: Found) -> Found:
    """A client id from there was registered for the old command, so the old redirect is the default with it."""
    if not found.settings.client_id:
        return found
    settings = msgspec.structs.replace(found.settings, redirect_uri=found.settings.redirect_uri or OLD_REDIRECT)
    scopes = found.scopes or (OLD_CLAUDE_SCOPES if provider == "anthropic" else ())
    return Found(settings, scopes, found.missing)


def merged(given: ClientSettings, found: ClientSettings) -> ClientSettings:
    """The command line's word before the environment's; a redirect belongs to the client id it came with."""
    fields = {name: getattr(given, name) or getattr(found, name) for name in ClientSettings.__struct_fields__}
    if given.client_id and not given.redirect_uri and given.client_id != found.client_id:
        fields["redirect_uri"] = ""
        fields["client_secret"] = given.client_secret
    return ClientSettings(**fields)


def api_key(environ: Mapping[str, str]) -> str:
    """`ANTHROPIC_API_KEY`, else its older name `DR_CLAUDE_API` where that holds no URL; empty if neither."""
    older = environ.get("DR_CLAUDE_API", "").strip()
    return environ.get("ANTHROPIC_API_KEY", "").strip() or ("" if "://" in older else older)


def api_key_name(environ: Mapping[str, str]) -> str:
    """The variable that `api_key` is from."""
    return "ANTHROPIC_API_KEY" if environ.get("ANTHROPIC_API_KEY", "").strip() else "DR_CLAUDE_API"


def api_endpoint_name(environ: Mapping[str, str]) -> str:
    """The variable that `api_endpoint` is from; empty if none."""
    if environ.get("CLAUDE_API_ENDPOINT", "").strip():
        return "CLAUDE_API_ENDPOINT"
    return "DR_CLAUDE_API" if api_endpoint(environ) else ""


def api_endpoint(environ: Mapping[str, str]) -> str:
    """Where Claude is called: `CLAUDE_API_ENDPOINT`, else `DR_CLAUDE_API` where that holds a URL; empty if neither."""
    older = environ.get("DR_CLAUDE_API", "").strip()
    return environ.get("CLAUDE_API_ENDPOINT", "").strip() or (older if "://" in older else "")


def agent(environ: Mapping[str, str]) -> str:
    """The calling agent's id, `AIXTIV_AGENT_ID`, which goes upstream as `X-Agent-ID` and into the audit log."""
    return environ.get("AIXTIV_AGENT_ID", "").strip()
