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
from msgspec.structs import replace

from aixtiv import environment, filed, settings, show
from aixtiv.client import Client
from aixtiv.environment import Found, merged
from aixtiv.failures import AixtivError, Usage
from aixtiv.table import Table
from aixtiv_protocol.requests import ClientSettings

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+/-]{0,99}")
"""Of a server and of an account."""

WORDS: Final = ("add", "list", "remove")
"""Of `aixtiv mcp`, and so of no server."""

_UNSET: Final = re.compile(r"\$\{(\w+)\}")
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_TAKEN: Final = "no server can have the name of a command of `aixtiv mcp`"


class Server(Struct, frozen=True, rename="kebab"):
    """One of them, under the name by which a person knows it."""

    name: str
    url: str
    account: str = ""
    transport: str = "auto"
    client_id: str = ""
    client_id_metadata: str = ""
    scopes: tuple[str, ...] = ()
    file: str = ""  # of the older command, where it is from there
    wrong: str = ""  # why it cannot be used; `mend` is then what to type
    mend: str = ""

    @property
    def old(self) -> bool:
        return bool(self.file)

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


def known(config: str, environ: Mapping[str, str], *, tell: bool = True) -> tuple[Server, ...]:
    """By name, those that cannot be used as well. `config`: the daemon's file.

    Raises AixtivError where that cannot be read; that the older file cannot be is told, and shuts out its own alone.
    """
    try:
        old = _of_old_file(environ)
    except AixtivError as failure:
        old = []
        if tell:
            show.warning(f"{failure.sentence}; its servers are left out")
            show.hint(failure.hint)
    found = {server.name: server for server in (*old, *_of_config(Path(config)))}
    return tuple(found[name] for name in sorted(found))


def usable(word: str, config: str, environ: Mapping[str, str], command: str = "aixtiv mcp") -> Server:
    """As `meant`. Raises AixtivError for one in which something is wrong, too."""
    server = meant(word, config, environ, command)
    if server.wrong:
        raise AixtivError(server.wrong, hint=server.mend)
    return server


def meant(word: str, config: str, environ: Mapping[str, str], command: str, otherwise: str = "") -> Server:
    """The one of that name or address; any other address is a server of its own. Raises Usage.

    `command`: what was typed before the word, to be typed with the right one; `otherwise`: where none is near.
    """
    servers = known(config, environ)
    if "://" in word:
        url = checked(word)
        same = (server for server in servers if server.url == url and not server.wrong)
        return next(same, Server(named_after(url), url))
    if found := next((server for server in servers if server.name == word), None):
        return found
    if not NAME.fullmatch(word):  # it may hold what nobody should read
        raise Usage("that is neither the name of an MCP server nor an address", hint="aixtiv mcp list")
    near = difflib.get_close_matches(word, [server.name for server in servers], n=1)
    hint = f"{command} {near[0]}" if near else otherwise or f"aixtiv mcp add {word} https://HOST/PATH"
    raise Usage(f"no MCP server is called {word!r}", hint=hint)


def signed_in_to(account: str, resource: str, client: Client, environ: Mapping[str, str]) -> Server | None:
    """The server that a sign-in to the one at `resource`, or to one of the old file's, is for. Raises AixtivError.

    Of an `[mcp.NAME]` the daemon knows by itself, and so it is asked for its config only where that is not enough.
    """
    if not (resource or (account and _is_in_old_file(account, environ))):
        return None
    servers = known(client.status().config, environ)
    if resource:
        url = checked(resource)
        found = next((server for server in servers if server.url == url and account in {"", server.whose}), None)
        return found or Server(account or named_after(url), url)
    found = next((server for server in servers if server.whose == account), None)
    if found and found.wrong and found.old:
        raise AixtivError(found.wrong, hint=found.mend)
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
    provider = server.whose.partition("/")[0]
    try:
        found = settings.found_for(environ, provider, server.whose)
    except AixtivError as failure:
        if server.old:
            raise
        show.warning(f"{failure.sentence}; what it may say of {server.whose} is left out")
        found = environment.client_settings(environ, provider)
    return Found(merged(given, found.settings), server.scopes or found.scopes, found.missing)


def check_complete(server: Server, found: Found, client_id: str) -> None:
    """Raises AixtivError where a file names the client by what is not set: as any other, nobody should be sent there.

    `client_id`: the one that there is after all.
    """
    if not found.missing or client_id:
        return
    sentence = found.missing[0]
    name = _UNSET.search(sentence)
    hint = f"export {name[1]}=ID && {server.login}" if name else server.login
    raise AixtivError(sentence, hint=hint)


def checked(url: str) -> str:
    """Raises Usage for what is neither https nor http on this machine, or has what an address should not hold."""
    try:
        parts = urlsplit(url)
        sound = _is_sound(parts)
    except ValueError:  # a port that is no number, brackets that do not close
        sound = False
        parts = urlsplit("")
    if not sound or not all("!" <= letter <= "~" for letter in url):
        raise Usage("that is no address of a server: expected https://HOST/PATH, or http:// on this machine alone")
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
    if name in WORDS:
        return replace(server, wrong=f"{path}: mcp.{name}: {_TAKEN}", mend=filed.edit(str(path)))
    return server


def _is_in_old_file(name: str, environ: Mapping[str, str]) -> bool:
    """As a server: one without an address may say all the same how the account is signed in to."""
    table = settings.servers(environ)
    return table is not None and name in table.tree and bool(table.below(name, table.tree[name]).find("url")[0])


def _of_old_file(environ: Mapping[str, str]) -> list[Server]:
    """Raises AixtivError where the file as a whole cannot be read."""
    table = settings.servers(environ)
    return [_old(table, name) for name in table.keys()] if table else []  # noqa: SIM118  # a Table's own


def _old(table: Table, name: str) -> Server:
    """One entry; what is wrong in it is its own affair."""
    server = Server(name, "", file=table.file)
    try:
        return replace(server, url=_old_url(table.below(name, table.tree[name]), name))
    except AixtivError as failure:
        return replace(server, wrong=failure.sentence, mend=failure.hint)


def _old_url(entry: Table, name: str) -> str:
    """Raises AixtivError."""
    if name in WORDS:
        raise entry.wrong("", _TAKEN)
    if not NAME.fullmatch(name):
        raise entry.wrong("", "a server cannot be called that")
    url = entry.url("url")
    if not url.meant:
        raise entry.wrong("url", "expected the server's address")
    try:
        return checked(url.meant)
    except Usage as failure:
        raise entry.wrong(url.keys[-1], failure.sentence) from None
