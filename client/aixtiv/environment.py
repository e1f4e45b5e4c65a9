"""The old command's environment variables, which go on meaning what they meant (design.md, D17).

Only the command reads them, since it stands in the person's shell and the daemon does not.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

OLD_REDIRECT: Final = "http://localhost:3000/oauth/callback"
OLD_CLAUDE_SCOPES: Final = ("code:generate", "code:execute")


class Found(Struct, frozen=True):
    """What the environment says about being a client of one provider."""

    settings: ClientSettings
    scopes: tuple[str, ...] = ()


def client_settings(environ: Mapping[str, str], provider: str) -> Found:
    """`<PROVIDER>_OAUTH_*`, and for `anthropic` below it `CLAUDE_OAUTH_*`.

    A client id from there was registered for the old command, and so for its redirect: that is the default with it.
    """
    prefixes = [f"{provider.upper().replace('-', '_').replace('.', '_')}_OAUTH_"]
    if provider == "anthropic":
        prefixes.append("CLAUDE_OAUTH_")

    def value(name: str) -> str:
        return next((found for prefix in prefixes if (found := environ.get(prefix + name, "").strip())), "")

    client_id, secret, scopes = value("CLIENT_ID"), value("CLIENT_SECRET"), tuple(value("SCOPE").split())
    if client_id and provider == "anthropic":
        scopes = scopes or OLD_CLAUDE_SCOPES
    return Found(
        ClientSettings(
            client_id=client_id,
            client_secret=Secret(secret) if secret else None,
            redirect_uri=value("REDIRECT_URI") or (OLD_REDIRECT if client_id else ""),
            token_endpoint=value("TOKEN_ENDPOINT"),
            authorization_endpoint=value("AUTH_ENDPOINT"),
        ),
        scopes,
    )


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
