"""The client we are at one authorization server: everything needed later, so that no refresh needs an environment."""

from typing import Final, Literal

from msgspec import Struct

from aixtiv_protocol.secret import Secret

TENANT: Final = "{tenantid}"
"""Where it stands in an issuer, the GUID of the tenant signed in at stands in what comes from there (Microsoft)."""

GUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Quirks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a provider departs from the RFCs, or asks for more. Every default is what the RFCs say."""

    exchange_body: Literal["form", "json"] = "form"
    refresh_body: Literal["form", "json"] = "form"
    exchange_headers: dict[str, str] = {}
    refresh_headers: dict[str, str] = {}
    federation_body: Literal["form", "json"] = "form"
    federation_headers: dict[str, str] = {}
    federation_needs: tuple[Literal["rule", "organization"], ...] = ()  # beside the identity token; then no client id
    state_in_exchange: bool = False
    authorize_parameters: dict[str, str] = {}  # added to the authorization URL
    redirect_host: Literal["127.0.0.1", "localhost"] = "127.0.0.1"  # as written in the redirect URI
    redirect_path: str = "/callback"
    redirect_ports: tuple[int, ...] = ()  # empty: any
    default_lifetime: int = 3600  # seconds, where an answer has no expires_in; 0: such a token does not expire
    expects_iss: bool = False  # RFC 9207: an authorization response without `iss` is refused
    errors_in_200: bool = False  # the token endpoint says `error` in a 200 (GitHub)
    error_names: dict[str, str] = {}  # the provider's own error codes -> RFC 6749's
    scopes_by_comma: bool = False  # `scope` in an answer is separated by commas (GitHub)
    punishes_reuse: bool = False  # a refresh token used twice ends the whole grant
    revokes_all: bool = False  # revoking any token ends all that its person has granted to this client
    subject_claim: str = "sub"  # of the userinfo answer
    who_claims: tuple[str, ...] = ("email", "preferred_username", "upn", "name")  # the first that is there is shown


class Client(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bound into a grant at sign-in (D10). An empty endpoint is one the provider does not have."""

    provider: str
    client_id: str  # empty: an identity token is shown instead (RFC 7521 §4.1); or see `registration_endpoint`
    token_endpoint: str
    authorization_endpoint: str = ""
    issuer: str = ""
    client_secret: Secret | None = None
    client_auth: Literal["none", "basic", "post"] = "none"
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    device_authorization_endpoint: str = ""  # RFC 8628
    redirect_uri: str = ""  # exact, where the user named one, or it was registered; empty: loopback as the quirks say
    scopes: tuple[str, ...] = ()  # asked for where a sign-in names none
    resource: str = ""  # what the tokens are for (RFC 8707): in every request for one
    # Where the client registers itself (RFC 7591), or has. Empty: somebody else gave it its id.
    registration_endpoint: str = ""
    registered_scopes: tuple[str, ...] = ()  # it may ask for no others; empty: nothing was said of any
    secret_ends_at: int = 0  # Unix time, of a secret that came with a registration; 0: never
    quirks: Quirks = Quirks()
