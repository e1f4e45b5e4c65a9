"""What a sign-in binds into its grant: as the request says, else as the sign-in before it, the config, discovery."""

import msgspec

from aixtiv_protocol import requests
from aixtiv_protocol.requests import Federation
from aixtivd.accounts.book import Book
from aixtivd.accounts.grant import Bound, Grant, endpoint_for, kind_of
from aixtivd.accounts.origin import origin_of, usual_origin
from aixtivd.accounts.sources import check_source, whose
from aixtivd.accounts.typed import login_command
from aixtivd.config import Config
from aixtivd.errors import BadRequest, NoProvider
from aixtivd.oauth.client import Client
from aixtivd.oauth.clients import client_for
from aixtivd.oauth.web import Web


class Terms:
    def __init__(self, book: Book, web: Web, config: Config) -> None:
        self.config = config
        self._book = book
        self._web = web

    async def of(self, name: str, asked: requests.Login) -> Bound:
        """A second sign-in needs no options: without any, it is as the first one was.

        With some, nothing of the first is used: its client secret must not go to a server that a caller names. But
        where its API is stays, whatever else is said: its tokens and its key are for that one.
        Raises NoProvider with the whole command to type, and whatever the request lacks or has wrong.
        """
        entry = self._book.find(name)
        old = entry.grant if entry and entry.grant.kind != "api-key" else None
        provider = asked.provider or (old.provider if old else self.provider(name, asked.settings.issuer))
        as_before = old if old and _says_nothing(asked, old) else None
        source = self.source(name, asked)
        if source is not None:
            _check_device(source, name, asked)
            check_source(source, name, self._book)
        try:
            client = await self._client(provider, source, as_before, asked)
        except NoProvider as error:
            there = name if self.provider(name) == provider else f"{provider}/{name}"  # what the commands would make
            hint = error.hint.replace("ACCOUNT", there) or login_command(asked, name, error.options)
            raise NoProvider(error.sentence.replace("ACCOUNT", there), hint=hint) from None
        return Bound(
            provider=provider,
            client=client,
            source=source,
            identity=whose(source, self._book),
            endpoint=endpoint_for(
                entry.grant if entry else None, provider, origin_of(asked.endpoint) if asked.endpoint else ""
            ),
            usual=self.usual_origin(name, provider),
            scopes=client.scopes if client else (),
        )

    def source(self, name: str, asked: requests.Login) -> requests.Source | None:
        """The one that this sign-in would ask: what it says, or else what the one before it said."""
        entry = self._book.find(name)
        old = entry.grant if entry and entry.grant.kind != "api-key" else None
        return asked.source or (old.source if old and _says_nothing(asked, old) else None)

    def provider(self, name: str, issuer: str = "") -> str:
        """The first part of an account's name. `claude` is at Anthropic, unless the config or the request differ."""
        first = name.partition("/")[0]
        return "anthropic" if first == "claude" and not issuer and first not in self.config.provider else first

    def usual_origin(self, name: str, provider: str) -> str:
        return usual_origin(self.config, name, provider)

    async def _client(
        self, provider: str, source: requests.Source | None, as_before: Grant | None, asked: requests.Login
    ) -> Client | None:
        if isinstance(source, requests.Command):
            return None
        table = self.config.provider.get(provider)
        if as_before and table is None:
            client = as_before.client
        else:
            client = await client_for(self._web, provider, table, asked.settings, kind_of(source, signed_in=True))
        if client is None:
            return None
        if isinstance(source, Federation):
            _check_needs(source, client, asked)
        return msgspec.structs.replace(client, scopes=asked.scopes or client.scopes)


def _says_nothing(asked: requests.Login, old: Grant) -> bool:
    return asked.source is None and asked.settings == requests.ClientSettings() and asked.provider in {"", old.provider}


def _check_device(source: requests.Source, name: str, asked: requests.Login) -> None:
    if asked.device == "wanted":
        kind = kind_of(source, signed_in=True)
        raise BadRequest(
            f"{name} is an account of the kind {kind}: nobody signs in to it, and so there is no code to type",
            hint=login_command(msgspec.structs.replace(asked, device=""), name),
        )


def _check_needs(source: Federation, client: Client, asked: requests.Login) -> None:
    needs = client.quirks.federation_needs
    given = {"rule": source.rule, "organization": source.organization}
    options = {"rule": "--federation RULE", "organization": "--organization ORG"}
    if missing := [what for what in needs if not given[what]]:
        raise NoProvider(
            f"{client.provider} wants the {' and the '.join(missing)} of the federation beside the identity",
            options=" ".join(options[what] for what in missing),
        )
    if needs and asked.scopes:
        raise BadRequest(f"at {client.provider} the federation rule decides on the scopes: none can be asked for")
