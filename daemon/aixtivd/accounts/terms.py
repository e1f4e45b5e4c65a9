"""What a sign-in binds into its grant: as the request says, else as the sign-in before it, the config, discovery."""

import msgspec

from aixtiv_protocol import requests
from aixtiv_protocol.requests import Federation
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.grant import Bound, Grant, endpoint_for, kind_of
from aixtivd.accounts.origin import origin_of, usual_origin
from aixtivd.accounts.sources import check_source, whose
from aixtivd.accounts.typed import login_command
from aixtivd.config import Config, McpConfig, ProviderConfig
from aixtivd.errors import BadRequest, Misconfigured, NoProvider
from aixtivd.oauth import clients, registration, resource, resource_client
from aixtivd.oauth.client import Client
from aixtivd.oauth.providers import READY
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
        source = self.source(name, asked)
        told, asked = asked, self._in_full(name, asked, source, old)
        usual = name if asked.settings.resource else self.provider(name, asked.settings.issuer)
        provider = asked.provider or (old.provider if old else usual)
        as_before = old if old and _says_nothing(asked, old) else None
        if source is not None:
            _check_device(source, name, asked)
            check_source(source, name, self._book)
        try:
            client = await self._client(name, provider, source, as_before, asked, _client_before(entry, asked))
        except NoProvider as error:
            there = name if provider in {name, self.provider(name)} else f"{provider}/{name}"  # as the commands would
            hint = error.hint.replace("ACCOUNT", there)
            if not (hint or error.hopeless):
                hint = login_command(told, name, error.options)
            raise NoProvider(error.sentence.replace("ACCOUNT", there), hint=hint) from None
        return Bound(
            provider=provider,
            client=client,
            source=source,
            identity=whose(source, self._book),
            endpoint=endpoint_for(entry.grant if entry else None, provider, _endpoint(asked)),
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

    def _in_full(
        self, name: str, asked: requests.Login, source: requests.Source | None, old: Grant | None
    ) -> requests.Login:
        """With what the config says of the MCP server that this account is for, where nobody names another place.

        An account that is for something else, and used there, too, goes on as it was.
        """
        settings = asked.settings
        if asked.provider or settings.resource or asked.endpoint or (old and old.client and not old.client.resource):
            return asked
        if not isinstance(source, requests.ClientCredentials | None) or (server := self._server(name, old)) is None:
            return asked
        filled = msgspec.structs.replace(
            settings,
            resource=server.url,
            client_id=settings.client_id or server.client_id,
            client_id_metadata=settings.client_id_metadata or server.client_id_metadata,
        )
        return msgspec.structs.replace(asked, settings=filled, scopes=asked.scopes or server.scopes)

    def _server(self, name: str, old: Grant | None) -> McpConfig | None:
        """Several may share the account: then the one that it is signed in for, else the one of its name."""
        servers = [(key, one) for key, one in self.config.mcp.items() if (one.account or key) == name]
        here = old.client.resource if old and old.client else ""
        servers.sort(key=lambda pair: (not here or not resource.covers(here, pair[1].url), pair[0] != name))
        return servers[0][1] if servers else None

    async def _client(
        self,
        name: str,
        provider: str,
        source: requests.Source | None,
        as_before: Grant | None,
        asked: requests.Login,
        before: Client | None,
    ) -> Client | None:
        if isinstance(source, requests.Command):
            return None
        table = self.config.provider.get(provider)
        settings, kind = asked.settings, kind_of(source, signed_in=True)
        if as_before and (table is None or (as_before.client and as_before.client.resource)):
            client = before or as_before.client
        elif settings.resource:
            table = self._trusted(table, name, provider, settings.resource)
            client = await resource_client.client_for_resource(
                self._web, provider, table, settings, kind, scopes=asked.scopes, before=before
            )
        else:
            client = await clients.client_for(self._web, provider, table, settings, kind)
        if client is None:
            return None
        if isinstance(source, Federation):
            _check_needs(source, client, asked)
        return msgspec.structs.replace(client, scopes=_scopes(client, asked))

    def _trusted(self, table: ProviderConfig | None, name: str, provider: str, url: str) -> ProviderConfig | None:
        """A resource says itself where its secrets are sent: the config's goes only where the config has it for that.

        It has where the account, the provider and who uses an [mcp.NAME] bear one name, and that is its URL. Nothing
        else tells: a secret beside ready-made data is for that server, one beside an address for the server there, and
        a request over the socket could have any other sent wherever it likes.
        """
        if table is None or table.issuer or table.token_endpoint:
            return table
        servers = (server for key, server in self.config.mcp.items() if (server.account or key) == name == provider)
        here = resource.canonical(url)
        if provider not in READY and any(resource.canonical(server.url) == here for server in servers):
            return table
        return msgspec.structs.replace(table, client_secret_file="")


def _client_before(entry: Entry | None, asked: requests.Login) -> Client | None:
    """Of the last sign-in: as it was before it was registered, where its server may not know it any more."""
    client = entry.grant.client if entry else None
    refused = entry is not None and entry.problem is not None and entry.problem.kind is Misconfigured
    if client is None or not (refused or asked.replace):
        return client
    return registration.forgotten(client) or client


def _scopes(client: Client, asked: requests.Login) -> tuple[str, ...]:
    """As asked for; of a resource with the one that brings a refresh token, where it was there before."""
    if not asked.scopes or not client.resource or resource_client.OFFLINE not in client.scopes:
        return asked.scopes or client.scopes
    return tuple(dict.fromkeys((*asked.scopes, resource_client.OFFLINE)))


def _endpoint(asked: requests.Login) -> str:
    """Where the API is: as asked; a resource's tokens are good at the resource, and nowhere else."""
    said = origin_of(asked.endpoint) if asked.endpoint else ""
    if not asked.settings.resource or isinstance(asked.source, requests.Command):
        return said
    here = resource.origin(asked.settings.resource)
    if said and resource.origin(said) != here:
        raise BadRequest(f"the API's endpoint is {said}, and the resource is at {here}")
    return said or here


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
