"""The providers aixtiv knows, one file each. To add one: its file, and its line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aixtivd.oauth.provider import Provider
from aixtivd.oauth.providers import anthropic, github, gitlab, google, microsoft

READY: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        provider.name: provider
        for provider in (
            anthropic.PROVIDER,
            github.PROVIDER,
            gitlab.PROVIDER,
            google.PROVIDER,
            microsoft.PROVIDER,
        )
    }
)
