"""The Claude API, as its published SDKs call it (sources: claude.md, "Calling the API")."""

from typing import Final

from aixtivd.accounts.origin import OWN
from aixtivd.relay.api import Api

API: Final = Api(
    name="anthropic",
    origin=OWN["anthropic"],
    paths=("/v1/",),
    refused=("/v1/oauth/",),  # what is there hands out credentials: no caller gets at it with ours
    key_header="x-api-key",
    flag_header="anthropic-beta",
    token_flag="oauth-2025-04-20",
    with_token=("anthropic-workspace-id",),
)
