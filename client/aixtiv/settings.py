"""The old command's three JSON files, honoured where they lie: below the environment, above every default.

Never looked for in the current folder: a cloned repository could send a credential to an endpoint of its own.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
import platformdirs
from msgspec import Struct

from aixtiv.environment import Found, defaulted, merged, said
from aixtiv.failures import AixtivError
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

OAUTH: Final = "oauth2-config.json"
API: Final = "api-config.json"
DESKTOP: Final = "claude.desktop.config.json"
NAMES: Final = (OAUTH, API, DESKTOP)

T = TypeVar("T")

LIMIT: Final = 1 << 20  # bytes; whatever is longer is none of these files

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")

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


class Misread(AixtivError):
    """one of the old command's files is wrong"""

    code = "bad_settings"


class Unset(Misread):
    """a file names a variable that is not set"""


class Api(Struct, frozen=True):
    """api-config.json: how the `claude` commands call. Empty: not said."""

    endpoint: str = ""
    version: str = ""
    fallback: Literal["", "api-key", "none"] = ""
    scopes: tuple[str, ...] = ()


class Table:
    """A JSON object of a file, by keys in any spelling. Every complaint names file and key, and quotes no value."""

    def __init__(self, file: str, tree: object, environ: Mapping[str, str], at: str = "") -> None:
        self._file = file
        self._at = at
        self._environ = environ
        if not isinstance(tree, dict):
            raise self.wrong("", "expected an object")
        self._tree: dict[str, object] = tree

    def wrong(self, key: str, sentence: str) -> Misread:
        at = ".".join(part for part in (self._at, key) if part)
        return Misread(f"{self._file}: {at}: {sentence}" if at else f"{self._file}: {sentence}", hint=_edit(self._file))

    def keys(self) -> list[str]:
        return list(self._tree)

    def find(self, *spellings: str) -> tuple[str, object]:
        """The key as it stands there, and its value; ("", None) where there is none, or it is null."""
        found = [(key, value) for key, value in self._tree.items() if _plain(key) in spellings and value is not None]
        if len(found) > 1:
            raise self.wrong(found[1][0], f"says the same as {found[0][0]}; leave one out")
        return found[0] if found else ("", None)

    def table(self, *spellings: str) -> "Table | None":
        key, value = self.find(*spellings)
        return self.below(key, value) if key else None

    def below(self, key: str, value: object) -> "Table":
        return Table(self._file, value, self._environ, ".".join(part for part in (self._at, key) if part))

    def text(self, *spellings: str) -> str:
        key, value = self.find(*spellings)
        if not key:
            return ""
        if not isinstance(value, str):
            raise self.wrong(key, "expected a string")
        return self._expanded(key, value).strip()

    def url(self, *spellings: str) -> str:
        text = self.text(*spellings)
        if text and not text.lower().startswith(("https://", "http://")):
            raise self.wrong(self.find(*spellings)[0], "expected an address that begins with https://")
        return text

    def words(self, *spellings: str) -> tuple[str, ...]:
        """A list of strings, or one string with blanks or commas between them."""
        key, value = self.find(*spellings)
        if isinstance(value, list):
            if not all(isinstance(word, str) for word in value):
                raise self.wrong(key, "expected a list of strings")
            return tuple(word for each in value for word in self._expanded(key, each).split())
        return tuple(self.text(*spellings).replace(",", " ").split())

    def _expanded(self, key: str, value: str) -> str:
        def variable(match: re.Match[str]) -> str:
            if match[1] not in self._environ:
                raise Unset(self.wrong(key, f"${{{match[1]}}} is not set").sentence, hint=f"export {match[1]}=…")
            return self._environ[match[1]]

        return _VARIABLE.sub(variable, value)


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
    word = _plain(str(value).lower()) if isinstance(value, bool) else _plain(auth.text("fallback"))
    if word not in _FALLBACKS:
        raise auth.wrong(key, 'expected "api_key" or "none"')
    return _FALLBACKS[word]


def _check_type(auth: Table) -> None:
    if _plain(auth.text("type")) not in ("", "oauth2", "oauth"):
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
    names = (_plain(name), "claude") if name == "anthropic" else (_plain(name),)
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
            raise Misread(f"{path} cannot be read: {error.strerror}", hint=f"ls -l {path}") from None
        return Table(str(path), _decoded(path, data), environ)
    return None


def _decoded(path: Path, data: bytes) -> object:
    if len(data) > LIMIT:
        raise Misread(f"{path} is longer than such a file can be", hint=f"ls -l {path}")
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misread(f"{path} is not JSON: {error}", hint=_edit(str(path))) from None


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Whoever can write there says where credentials are sent."""
    if found.st_uid not in (os.getuid(), 0):
        raise Misread(f"{path} belongs to another user", hint=f"ls -l {path}")
    if found.st_mode & 0o022:
        raise Misread(f"{path} can be written by others (mode {found.st_mode & 0o777:04o})", hint=f"chmod go-w {path}")


def _edit(path: str) -> str:
    return f"$EDITOR {path}"


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
