"""gitlab.com (docs.gitlab.com, "OAuth 2.0 identity provider API"); an own GitLab needs only `--issuer`."""

from typing import Final

from aixtivd.oauth.client import Quirks
from aixtivd.oauth.provider import Provider

PROVIDER: Final = Provider(
    name="gitlab",
    issuer="https://gitlab.com",
    authorization_endpoint="https://gitlab.com/oauth/authorize",
    token_endpoint="https://gitlab.com/oauth/token",
    revocation_endpoint="https://gitlab.com/oauth/revoke",
    introspection_endpoint="https://gitlab.com/oauth/introspect",
    userinfo_endpoint="https://gitlab.com/oauth/userinfo",
    jwks_uri="https://gitlab.com/oauth/discovery/keys",
    device_authorization_endpoint="https://gitlab.com/oauth/authorize_device",  # since GitLab 17.1
    scopes=("openid", "email", "read_user"),
    quirks=Quirks(default_lifetime=7200),
    register="https://gitlab.com/-/user_settings/applications",
)
