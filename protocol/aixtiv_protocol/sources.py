"""Parts of requests: how to be a client of a server, and where tokens come from that nobody signs in to get."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from aixtiv_protocol.secret import Secret


class ClientSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to be a client of an authorization server, as the caller's command line or environment says it.

    Every empty field means: as the provider's data, the config or discovery say.
    """

    issuer: str = ""  # discovery starts here (RFC 8414, OpenID Connect Discovery)
    client_id: str = ""
    client_secret: Secret | None = None
    client_auth: Literal["", "none", "basic", "post"] = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    redirect_uri: str = ""  # exact, RFC 8252 otherwise; one that is not loopback means: paste only
    device_authorization_endpoint: str = ""  # RFC 8628
    resource: str = ""  # URL of what the token is for (RFC 8707): who signs in there it says itself (RFC 9728)
    client_id_metadata: str = ""  # https URL of a client-id metadata document, for a server that takes those
    challenge: str = ""  # its WWW-Authenticate with a 401 or 403, where the caller has seen one


class Sourced(Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True):
    """Where the tokens of an account come from that nobody signs in to: it is asked again instead of refreshed."""


class Federation(Sourced, frozen=True, tag="federation"):
    """An identity token is exchanged for an access token (RFC 7523 §2.1, Claude's workload identity federation).

    The identity token comes from exactly one of the last three: a file, a command's stdout, or the ID token of another
    account here.
    """

    rule: str = ""  # federation_rule_id
    organization: str = ""  # organization_id
    service_account: str = ""
    workspace: str = ""
    identity_file: str = ""  # absolute path, read anew each time
    identity_command: tuple[str, ...] = ()  # its first word is an absolute path
    identity_account: str = ""


class ClientCredentials(Sourced, frozen=True, tag="client-credentials"):
    """The client's own token (RFC 6749 §4.4)."""


class Command(Sourced, frozen=True, tag="command"):
    """The token is what a command prints, which stays the only one that refreshes it: Anthropic's `ant`."""

    command: tuple[str, ...]  # its first word is an absolute path
    timeout: Annotated[float, Meta(ge=0, le=300)] = 10.0  # seconds


Source = Federation | ClientCredentials | Command
