"""Microsoft's identity platform v2.0 for any tenant; for one tenant use `--issuer` with its own issuer URL."""

from typing import Final

from aixtivd.oauth.client import Quirks
from aixtivd.oauth.provider import Provider

PROVIDER: Final = Provider(
    name="microsoft",
    # A template: each tenant is its own issuer, and the ID token's `tid` says which (identity.py fills it in).
    issuer="https://login.microsoftonline.com/{tenantid}/v2.0",
    authorization_endpoint="https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    token_endpoint="https://login.microsoftonline.com/common/oauth2/v2.0/token",
    userinfo_endpoint="https://graph.microsoft.com/oidc/userinfo",
    jwks_uri="https://login.microsoftonline.com/common/discovery/v2.0/keys",
    # learn.microsoft.com, "OAuth 2.0 device authorization grant flow"
    device_authorization_endpoint="https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
    scopes=("openid", "email", "profile", "offline_access"),
    quirks=Quirks(
        # Instead of `consent`, which people whose administrator consents for them cannot give.
        authorize_parameters={"prompt": "select_account"},
        error_names={"authorization_declined": "access_denied"},  # while a device code is polled for
        redirect_host="localhost",  # for `localhost` Microsoft ignores the port, for 127.0.0.1 it does not
    ),
    register="https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps",
)
