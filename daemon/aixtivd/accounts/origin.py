"""Where an account's API is: an origin, read from the addresses that people and old configurations have for it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aixtivd.config import ApiConfig, Config
from aixtivd.errors import BadRequest, Misconfigured
from aixtivd.oauth.web import check_url

OWN: Final[Mapping[str, str]] = MappingProxyType({"anthropic": "https://api.anthropic.com"})
"""By provider: where its API is, unless the config or an account's own sign-in say another."""

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_CALLS: Final = re.compile(r"/v1(/.*)?$")  # where an API's paths begin: the old command named the whole of one
_USUAL_PORT: Final = {"https": 443, "http": 80}


def usual_origin(config: Config, account: str, provider: str) -> str:
    """Where an account's API is that nobody said an endpoint for; empty: nowhere yet."""
    table = config.api.get(account) or config.api.get(provider) or ApiConfig()
    found = table.origin or OWN.get(provider, "")
    return origin_of(found) if found else ""


def origin_of(endpoint: str) -> str:
    """`https://host/prefix` for `https://HOST:443/prefix/v1/messages`. Two that mean the same are the same text.

    Raises BadRequest for what is neither https nor http on loopback, or has more than a host, a port and a path.
    """
    try:
        parts = check_url(endpoint)
    except Misconfigured as failure:
        raise BadRequest(f"the API's endpoint: {failure.sentence}") from None
    path = _CALLS.sub("", parts.path.rstrip("/"))
    if parts.query or parts.fragment or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise BadRequest("the API's endpoint: expected https://host, with a path at most")
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _USUAL_PORT[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}{path}"
