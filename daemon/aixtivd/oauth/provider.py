"""A provider as data: what is known about an authorization server before anybody says who the client is."""

from typing import Literal

from msgspec import Struct

from aixtivd.oauth.client import Quirks


class Provider(Struct, frozen=True, kw_only=True):
    """One of these for each file in providers/. An empty endpoint is one the provider does not have."""

    name: str
    authorization_endpoint: str
    token_endpoint: str
    issuer: str = ""  # empty: not an OpenID provider
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    device_authorization_endpoint: str = ""  # RFC 8628
    secret_sent: Literal["basic", "post"] = "post"  # how, where the client has one
    secret_needed: bool = False  # even of a client on a person's machine
    scopes: tuple[str, ...] = ()  # asked for where nobody says which
    quirks: Quirks = Quirks()
    register: str = ""  # where a person gets a client id
    without_client_id: str = ""  # in place of the usual sentence; ACCOUNT stands for the account's name
    instead: str = ""  # the command to type then, in place of the usual hint
