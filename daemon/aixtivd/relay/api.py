"""An API as data: where its calls go, which of them are relayed, and how a credential is shown to it."""

from typing import Final

from msgspec import Struct

OWN: Final = "authorization"
"""Where a token stands (RFC 6750 §2.1), in lower case; an API key too, where an API has no header for keys."""


class Api(Struct, frozen=True, kw_only=True):
    """One of these for each file in apis/, and for each `[api.NAME]` of the config."""

    name: str
    origin: str = ""  # https://host, may end in a path before `paths`; empty: config or account have to say
    paths: tuple[str, ...] = ("/",)  # prefixes of what is relayed
    refused: tuple[str, ...] = ()  # prefixes below them that are not
    key_header: str = OWN  # where an API key stands; in Authorization it is a Bearer
    flag_header: str = ""  # a comma-separated list, in which …
    token_flag: str = ""  # … this stands with a token, and only with one
    with_token: tuple[str, ...] = ()  # headers that a caller sends with a token, and that mean nothing with a key
