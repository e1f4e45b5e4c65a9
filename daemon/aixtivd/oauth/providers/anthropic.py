"""Anthropic, as its published SDKs speak to it. aixtiv ships no client id for it and borrows none."""

from typing import Final

from aixtivd.oauth.client import Quirks
from aixtivd.oauth.provider import Provider

_FOUR_WAYS: Final = """\
aixtiv has no client id of its own at Anthropic and borrows nobody's; there are four ways that Anthropic sanctions
  1. an API key, sealed by aixtiv:  aixtiv api-key set ACCOUNT
  2. workload identity federation, where an identity token of your organisation is exchanged for one of Claude's:
     aixtiv login ACCOUNT --federation RULE --organization ORG --identity-account NAME
     where NAME is your sign-in at that issuer (aixtiv login NAME --issuer URL --client-id ID);
     or --identity-file FILE, or --identity-command COMMAND
  3. the sign-in that Anthropic's own command keeps, and goes on refreshing:  aixtiv login ACCOUNT --ant
  4. a client id that Anthropic gave you:  aixtiv login ACCOUNT --client-id ID  (or CLAUDE_OAUTH_CLIENT_ID)"""

PROVIDER: Final = Provider(
    name="anthropic",
    authorization_endpoint="https://platform.claude.com/oauth/authorize",
    token_endpoint="https://api.anthropic.com/v1/oauth/token",
    scopes=("code:generate", "code:execute"),  # the old command's default; `--scope` names others
    quirks=Quirks(
        state_in_exchange=True,
        refresh_body="json",
        refresh_headers={"anthropic-beta": "oauth-2025-04-20"},
        federation_body="json",
        federation_headers={"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"},
        federation_needs=("rule", "organization"),
        redirect_host="localhost",
        default_lifetime=3600,
    ),
    without_client_id=_FOUR_WAYS,
    instead="aixtiv api-key set ACCOUNT",
)
