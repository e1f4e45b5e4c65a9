"""GitHub (docs.github.com, "Authorizing OAuth apps", "Refreshing user access tokens").

Its device flow has to be enabled in the settings of the application; else `device_flow_disabled`.
"""

from typing import Final

from aixtivd.oauth.client import Quirks
from aixtivd.oauth.provider import Provider

PROVIDER: Final = Provider(
    name="github",
    authorization_endpoint="https://github.com/login/oauth/authorize",
    token_endpoint="https://github.com/login/oauth/access_token",
    userinfo_endpoint="https://api.github.com/user",
    device_authorization_endpoint="https://github.com/login/device/code",
    secret_needed=True,
    quirks=Quirks(
        errors_in_200=True,
        error_names={
            "bad_refresh_token": "invalid_grant",
            "bad_verification_code": "invalid_grant",
            "incorrect_client_credentials": "invalid_client",
        },
        scopes_by_comma=True,
        default_lifetime=0,  # an answer of a classic OAuth app has neither `expires_in` nor a refresh token
        subject_claim="id",
        who_claims=("login",),
    ),
    register="https://github.com/settings/apps",
)
