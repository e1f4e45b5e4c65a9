"""The APIs aixtiv knows, one file each, and what the config says of them and of others.

To add one: its file, and its line here; one with a bearer token and nothing particular needs only `[api.NAME] origin`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aixtivd.config import ApiConfig, Config
from aixtivd.relay.api import Api
from aixtivd.relay.apis import anthropic

READY: Final[Mapping[str, Api]] = MappingProxyType({api.name: api for api in (anthropic.API,)})


def api_for(config: Config, account: str, provider: str) -> Api:
    """The ready-made one of this name, changed by `[api.ACCOUNT]` or else `[api.PROVIDER]`.

    Where nobody said an origin, it has none: the account itself may still have one.
    """
    ready = READY.get(provider) or Api(name=provider)
    table = config.api.get(account) or config.api.get(provider) or ApiConfig()
    return Api(
        name=ready.name,
        origin=table.origin or ready.origin,
        paths=table.paths or ready.paths,
        refused=ready.refused + table.refused,  # what is ready-made is refused for a reason
        key_header=table.key_header.lower() or ready.key_header,
        flag_header=ready.flag_header,
        token_flag=ready.token_flag,
        with_token=ready.with_token,
    )
