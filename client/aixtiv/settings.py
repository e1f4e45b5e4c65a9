"""The old command's three JSON files, honoured where they lie: below the environment, above every default.

Never looked for in the current folder: a cloned repository could send a credential to an endpoint of its own.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Final, Literal, TypeVar

import msgspec
import platformdirs
from msgspec import Struct

from aixtiv.environment import Found, defaulted, merged, said
from aixtiv.table import Misread, Table, Unset, edit, plain
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

OAUTH: Final = "oauth2-config.json"
API: Final = "api-config.json"
DESKTOP: Final = "claude.desktop.config.json"
NAMES: Final = (OAUTH, API, DESKTOP)

T = TypeVar("T")

LIMIT: Final = 1 << 20  # bytes; whatever is longer is none of these files

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
    if not (tree := _opened(environ, API)):
        return Api()
    table = (tree.table("claude") or tree).table("api") or tree
    auth = table.table("auth")
    return Api(
        endpoint=table.url("endpoint", "url"),
        version=table.text("version", "anthropicversion"),
        fallback=_fallback(auth) if auth else "",
        scopes=auth.words(*_SCOPES) if auth else (),
    )


def _fallback(auth: Table) -> Literal["", "api-key", "none"]:
    _check_type(auth)
    key, value = auth.find("fallback")
    if not key:
        return ""
    word = plain(str(value).lower()) if isinstance(value, bool) else plain(auth.text("fallback"))
    if word not in _FALLBACKS:
        raise auth.wrong(key, 'expected "api_key" or "none"')
    return _FALLBACKS[word]


def _check_type(auth: Table) -> None:
    if plain(auth.text("type")) not in ("", "oauth2", "oauth"):
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

    secret = set_or(table.text, _SECRET, "")
    settings = ClientSettings(
        issuer=set_or(table.url, ("issuer", "issuerurl"), ""),
        client_id=set_or(table.text, _CLIENT_ID, ""),
        client_secret=Secret(secret) if secret else None,
        redirect_uri=set_or(table.url, _REDIRECT, ""),
        token_endpoint=set_or(table.url, _TOKEN, ""),
        authorization_endpoint=set_or(table.url, _AUTHORIZATION, ""),
    )
    return Found(settings, set_or(table.words, _SCOPES, ()), tuple(missing))


def _opened(environ: Mapping[str, str], name: str) -> Table | None:
    for folder in folders(environ):
        path = folder / name
        try:
            with path.open("rb") as file:
                _check_owner(path, os.fstat(file.fileno()))
                data = file.read(LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Misread(f"{path} cannot be read: {error.strerror}", hint=f"ls -l {quote(str(path))}") from None
        return Table(str(path), _decoded(path, data), environ)
    return None


def _decoded(path: Path, data: bytes) -> object:
    if len(data) > LIMIT:
        raise Misread(f"{path} is longer than such a file can be", hint=f"ls -l {quote(str(path))}")
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misread(f"{path} is not JSON: {error}", hint=edit(str(path))) from None


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Whoever can write there says where credentials are sent."""
    if found.st_uid not in (os.getuid(), 0):
        raise Misread(f"{path} belongs to another user", hint=f"ls -l {quote(str(path))}")
    if found.st_mode & 0o022:
        raise Misread(
            f"{path} can be written by others (mode {found.st_mode & 0o777:04o})", hint=f"chmod go-w {quote(str(path))}"
        )
