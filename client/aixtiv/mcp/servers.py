"""Which remote MCP servers there are: the config's `[mcp.NAME]`, and below it the older command's `servers`."""

import difflib
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from aixtiv import filed, settings
from aixtiv.client import Client
from aixtiv.environment import Found, merged
from aixtiv.failures import AixtivError, Usage
from aixtiv_protocol.requests import ClientSettings

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+/-]{0,99}")
"""Of a server and of an account."""

_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_TRANSPORTS: Final = ("auto", "http", "sse")


class Server(Struct, frozen=True, rename="kebab"):
    """One of them, under the name by which a person knows it."""

    name: str
    url: str
    account: str = ""
    transport: str = "auto"
    client_id: str = ""
    client_id_metadata: str = ""
    scopes: tuple[str, ...] = ()
    old: bool = False  # from claude.desktop.config.json

    @property
    def whose(self) -> str:
        """The account that it is called with."""
        return self.account or self.name

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """With its query, as it stands in a request line."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"

    @property
    def login(self) -> str:
        """The command that signs in to it."""
        words = ["aixtiv", "login", self.whose]
        return shlex.join([*words, "--resource", self.url] if self.name == named_after(self.url) else words)


def known(config: str, environ: Mapping[str, str]) -> tuple[Server, ...]:
    """By name. `config`: the daemon's file. Raises AixtivError for one that cannot be read."""
    found = {server.name: server for server in (*_of_old_file(environ), *_of_config(Path(config)))}
    return tuple(found[name] for name in sorted(found))


def meant(word: str, config: str, environ: Mapping[str, str]) -> Server:
    """The one of that name or address; any other address is a server of its own. Raises Usage."""
    servers = known(config, environ)
    if "://" in word:
        url = checked(word)
        return next((server for server in servers if server.url == url), Server(named_after(url), url))
    if found := next((server for server in servers if server.name == word), None):
        return found
    near = difflib.get_close_matches(word, [server.name for server in servers], n=1)
    hint = f"aixtiv mcp {near[0]}" if near else f"aixtiv mcp add {shlex.quote(word)} https://HOST/PATH"
    raise Usage(f"no MCP server is called {word!r}", hint=hint)


def signed_in_to(account: str, resource: str, client: Client, environ: Mapping[str, str]) -> Server | None:
    """The server that a sign-in to the one at `resource`, or to one of the old file's, is for. Raises AixtivError.

    Of an `[mcp.NAME]` the daemon knows by itself, and so it is asked for its config only where that is not enough.
    """
    if not (resource or (account and _of_old_file(environ, account))):
        return None
    servers = known(client.status().config, environ)
    if resource:
        url = checked(resource)
        found = next((server for server in servers if server.url == url and account in {"", server.whose}), None)
        return found or Server(account or named_after(url), url)
    found = next((server for server in servers if server.whose == account), None)
    return found if found and not is_lent(found, client) else None


def is_lent(server: Server, client: Client) -> bool:
    """Whether the account is another one's, which is signed in to as it was made, and not for this server."""
    if server.account in {"", server.name}:
        return False
    return any(account.name == server.account for account in client.accounts())


def terms(server: Server, environ: Mapping[str, str]) -> Found:
    """What is said at a sign-in to it: the config's word, then the environment's and the old files'."""
    given = ClientSettings(
        resource=server.url, client_id=server.client_id, client_id_metadata=server.client_id_metadata
    )
    found = settings.found_for(environ, server.whose.partition("/")[0], server.whose)
    return Found(merged(given, found.settings), server.scopes or found.scopes, found.missing)


def checked(url: str) -> str:
    """Raises Usage for what is neither https nor http on this machine, or has what an address should not hold."""
    try:
        parts = urlsplit(url)
        sound = _is_sound(parts)
    except ValueError:  # a port that is no number, brackets that do not close
        sound = False
        parts = urlsplit("")
    if not sound or not all("!" <= letter <= "~" for letter in url):
        raise Usage("that is no address of a server: expected https://HOST/PATH")
    if parts.username is not None:
        raise Usage("a user and password cannot stand in a server's address")
    return url


def _is_sound(parts: SplitResult) -> bool:
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    return bool(parts.hostname) and (parts.scheme == "https" or local) and not parts.fragment and parts.port != 0


def named_after(url: str) -> str:
    """The name of a server that has none: its address without what no name can have."""
    parts = urlsplit(url)
    plain = re.sub(r"[^A-Za-z0-9._@+/-]+", "-", f"{parts.netloc}{parts.path}".rstrip("/"))
    return plain.strip("-")[:100]


def _of_config(path: Path) -> list[Server]:
    try:
        text = filed.contents(path).decode()
        tables = tomllib.loads(text).get("mcp", {})
    except FileNotFoundError:
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AixtivError(f"{path} is not TOML: {error}", hint="aixtiv config check") from None
    return [_server(path, name, table) for name, table in tables.items()] if isinstance(tables, dict) else []


def _server(path: Path, name: str, table: Any) -> Server:
    """What is wrong in it, the daemon says best. Raises AixtivError."""
    try:
        server = msgspec.convert({**table, "name": name}, Server)
        checked(server.url)
    except (msgspec.ValidationError, TypeError, Usage):
        raise AixtivError(f"{path}: mcp.{name} cannot be understood", hint="aixtiv config check") from None
    return server


def _of_old_file(environ: Mapping[str, str], only: str = "") -> list[Server]:
    """Raises AixtivError for what is wrong in any of them; `only`: in this one."""
    found = []
    for name, table in settings.servers(environ, only):
        if (url := table.url("url").meant) and NAME.fullmatch(name):
            found.append(Server(name, url, old=True))
    return found
