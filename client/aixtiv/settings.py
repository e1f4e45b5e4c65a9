"""The old command's three JSON files, honoured where they lie: below the environment, above every default.

Never looked for in the current folder: a cloned repository could send a credential to an endpoint of its own.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import platformdirs
from msgspec import Struct

from aixtiv import filed
from aixtiv.environment import Found, defaulted, merged, said
from aixtiv.table import Table, Text, Unset, plain
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

OAUTH: Final = "oauth2-config.json"
API: Final = "api-config.json"
DESKTOP: Final = "claude.desktop.config.json"
NAMES: Final = (OAUTH, API, DESKTOP)

T = TypeVar("T")

# The spellings of each key, without case, `_` and `-`: clientId and client_id are one.
_CLIENT_ID: Final = ("clientid",)
_SECRET: Final = ("clientsecret",)
_REDIRECT: Final = ("redirecturi", "redirecturl", "callbackurl")
_TOKEN: Final = ("tokenendpoint", "tokenurl", "tokenuri")
_AUTHORIZATION: Final = (
    "authorizationendpoint",
    "authendpoint",
    "authorizationurl",
    "authorizeurl",
    "authurl",
    "authuri",
)
_SCOPES: Final = ("scopes", "defaultscopes", "scope")
_FALLBACKS: Final[dict[str, Literal["api-key", "none"]]] = {
    "apikey": "api-key",
    "none": "none",
    "false": "none",
    "off": "none",
}


class Api(Struct, frozen=True):
    """api-config.json: how the `claude` commands call. Empty: not said."""

    endpoint: str = ""
    version: str = ""
    fallback: Literal["", "api-key", "none"] = ""
    scopes: tuple[str, ...] = ()
    expanded: tuple[Text, ...] = ()  # of these, the ones with variables in them

    def unsaid(self, sentence: str) -> str:
        """A sentence that may quote any of it, with the variables' names in the place of their values."""
        for text in self.expanded:
            sentence = text.unsaid(sentence)
        return sentence


class ApiFile(Struct, frozen=True):
    """The same, as the file has it: what the doctor tells of and mends."""

    path: Path
    tree: dict[str, object]
    endpoint: Text
    version: Text
    auth: Table | None


def folders(environ: Mapping[str, str]) -> list[Path]:
    """Where the files are looked for, the first found counts: AIXTIV_CONFIG_DIR, the config's folder, ~/.aixtiv."""
    named = environ.get("AIXTIV_CONFIG_DIR", "")
    found = [Path(named)] if os.path.isabs(named) else []  # noqa: PTH117  # a relative one could be a repository's
    return [*found, Path(platformdirs.user_config_dir("aixtiv")), Path.home() / ".aixtiv"]


def strays(environ: Mapping[str, str], here: Path) -> list[str]:
    """Names of the files that lie in the current folder, where they are not read."""
    if here in folders(environ):
        return []
    return [name for name in NAMES if (here / name).is_file()]


def api(environ: Mapping[str, str]) -> Api:
    """Raises Misread."""
    if not (file := api_file(environ)):
        return Api()
    return Api(
        endpoint=file.endpoint.meant,
        version=file.version.meant,
        fallback=_fallback(file.auth) if file.auth else "",
        scopes=file.auth.words(*_SCOPES) if file.auth else (),
        expanded=tuple(text for text in (file.endpoint, file.version) if text.variables),
    )


def api_file(environ: Mapping[str, str]) -> ApiFile | None:
    """The one that counts. Raises Misread."""
    if not (tree := _opened(environ, API)):
        return None
    table = (tree.table("claude") or tree).table("api") or tree
    endpoint, version = table.url("endpoint", "url"), table.text("version", "anthropicversion")
    return ApiFile(Path(tree.file), tree.tree, endpoint, version, table.table("auth"))


def _fallback(auth: Table) -> Literal["", "api-key", "none"]:
    _check_type(auth)
    key, value = auth.find("fallback")
    if not key:
        return ""
    word = plain(str(value).lower()) if isinstance(value, bool) else plain(auth.text("fallback").meant)
    if word not in _FALLBACKS:
        raise auth.wrong(key, 'expected "api_key" or "none"')
    return _FALLBACKS[word]


def _check_type(auth: Table) -> None:
    if plain(auth.text("type").meant) not in ("", "oauth2", "oauth"):
        raise auth.wrong("type", 'expected "oauth2"')


def found_for(environ: Mapping[str, str], provider: str, account: str) -> Found:
    """What a sign-in needs to know and nobody typed: the environment's word, then the files', then the old defaults.

    Raises Misread, for what concerns this provider or account only.
    """
    filed = _provider(environ, provider)
    served = _server(environ, account)
    settings = merged(filed.settings, served.settings)
    scopes = filed.scopes or served.scopes or (api(environ).scopes if provider == "anthropic" else ())
    ours = said(environ, provider)
    missing = filed.missing + served.missing
    return defaulted(provider, Found(merged(ours.settings, settings), ours.scopes or scopes, missing))


def _provider(environ: Mapping[str, str], provider: str) -> Found:
    tree = _opened(environ, OAUTH)
    table = (tree.table("providers") or tree) if tree else None
    return _client(_named(table, provider)) if table else Found(ClientSettings())


def _server(environ: Mapping[str, str], account: str) -> Found:
    tree = _opened(environ, DESKTOP)
    servers = tree.table("servers") if tree else None
    server = _named(servers, account) if servers else None
    auth = server.table("auth") if server else None
    if auth:
        _check_type(auth)
    return _client(auth)


def servers(environ: Mapping[str, str]) -> Table | None:
    """The remote MCP servers of claude.desktop.config.json, by name. Raises Misread."""
    tree = _opened(environ, DESKTOP)
    return tree.table("servers") if tree else None


def _named(table: Table, name: str) -> Table | None:
    """The one for `name`; Claude's had two names."""
    names = (plain(name), "claude") if name == "anthropic" else (plain(name),)
    return next((found for each in names if (found := table.table(each))), None)


def _client(table: Table | None) -> Found:
    """A variable that is not set is no reason to stop: the value may have been typed, or stand elsewhere."""
    if table is None:
        return Found(ClientSettings())
    missing: list[str] = []

    def set_or(read: Callable[..., T], spellings: tuple[str, ...], otherwise: T) -> T:
        try:
            return read(*spellings)
        except Unset as unset:
            missing.append(unset.sentence)
            return otherwise

    def url(*spellings: str) -> str:
        return set_or(table.url, spellings, Text()).meant

    secret = set_or(table.secret, _SECRET, "")
    settings = ClientSettings(
        issuer=url("issuer", "issuerurl"),
        client_id=set_or(table.secret, _CLIENT_ID, ""),
        client_secret=Secret(secret) if secret else None,
        redirect_uri=url(*_REDIRECT),
        token_endpoint=url(*_TOKEN),
        authorization_endpoint=url(*_AUTHORIZATION),
    )
    return Found(settings, set_or(table.words, _SCOPES, ()), tuple(missing))


def _opened(environ: Mapping[str, str], name: str) -> Table | None:
    for folder in folders(environ):
        path = folder / name
        try:
            return Table(str(path), filed.tree(path, forbidden=filed.EVERYBODY | filed.GROUP), environ)
        except FileNotFoundError:
            continue
    return None
