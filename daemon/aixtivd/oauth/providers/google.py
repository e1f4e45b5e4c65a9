"""Google (developers.google.com, "OAuth 2.0 for Mobile & Desktop Apps").

Its device flow is for clients of the type "TVs and Limited Input devices" alone, and for few scopes ("OAuth 2.0 for TV
and Limited-Input Device Applications"); a desktop client is refused there, and signs in by loopback.
"""

from typing import Final

from aixtivd.oauth.client import Quirks
from aixtivd.oauth.provider import Provider

PROVIDER: Final = Provider(
    name="google",
    issuer="https://accounts.google.com",
    authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
    token_endpoint="https://oauth2.googleapis.com/token",
    revocation_endpoint="https://oauth2.googleapis.com/revoke",
    userinfo_endpoint="https://openidconnect.googleapis.com/v1/userinfo",
    jwks_uri="https://www.googleapis.com/oauth2/v3/certs",
    device_authorization_endpoint="https://oauth2.googleapis.com/device/code",
    secret_needed=True,  # desktop clients have one, which Google does not treat as secret
    scopes=("openid", "email"),
    quirks=Quirks(
        # Only with both does every sign-in, not just the first, bring a refresh token.
        authorize_parameters={"access_type": "offline", "prompt": "consent"},
        revokes_all=True,  # an access token takes its refresh token along, and with it the consent
    ),
    register="https://console.cloud.google.com/auth/clients",
)
