"""The config file: one TOML file into one frozen Struct, all of it or nothing."""

import difflib
import os
import re
import shlex
import stat
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from aixtiv_protocol.requests import Right
from aixtivd.errors import BadConfig

_TYPES: Final = re.compile(r"`([\w |]+)`")
_IN_TOML: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "bool | null": "true or false",
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+/-]*")
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._@+/*-]*")
_RESERVED: Final = frozenset(
    {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}
)


_LONGEST_LEFT: Final = 10_080  # minutes: a week
_FRAMING: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"})


class Network(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """How providers are reached: a daemon under a service manager has no shell's environment to read this from."""

    proxy: str = ""  # http://host:port
    no_proxy: tuple[str, ...] = ()  # host names; ".example.org" means its subdomains too
    ca_file: str = ""  # PEM, in addition to the system's


class VaultConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """Read once, when the store is made; afterwards the store says which source it belongs to."""

    key: Literal["auto", "systemd", "keyring", "file", "passphrase"] = "auto"
    key_file: str = ""  # empty: `key` beside the store
    keyring_backend: str = ""  # dotted name of a keyring backend class; empty: the platform's own
    lock_after: int = 0  # minutes without a request that needs the vault; 0: never
    export: bool = True  # whether `aixtiv export` may make a backup


class Who(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """Which callers a rule is about: whatever is said here must fit. `*` stands for any characters."""

    unit: str = ""  # systemd's: the innermost
    executable: str = ""  # path
    script: str = ""  # path or `-m NAME`, of an interpreter: the caller's own word
    cgroup: str = ""  # path, or the beginning of one with `*`


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """One `[[rule]]`. The first that fits both caller and account decides."""

    who: Who = Who()  # empty: everybody
    accounts: tuple[str, ...] = ("*",)  # names; `*` stands for any characters
    allow: tuple[Right, ...] = ()
    paths: tuple[str, ...] = ()  # prefixes that may be relayed; empty: all


class AccessConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    default: tuple[Right, ...] = ("list", "token", "relay", "manage")  # where no rule fits
    relay_only: tuple[str, ...] = ()  # accounts whose token is shown to nobody; `*` stands for any characters


class AuditConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    size: int = 16  # MiB of one file, before the next begins
    files: int = 8  # older ones that are kept beside it
    on_failure: Literal["announce", "stop"] = "announce"  # stop: nothing is handed out that cannot be recorded


class RefreshConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    at_once: int = 8  # refreshes in flight at one host
    timeout: float = 30.0  # seconds for one token request


class ProviderConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """A provider of the user's own, or changes to a ready-made one: every empty field keeps what is known."""

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""  # the config never holds a secret itself
    client_auth: Literal["", "none", "basic", "post"] = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    userinfo_endpoint: str = ""
    redirect_uri: str = ""
    scopes: tuple[str, ...] = ()
    authorize_parameters: dict[str, str] = {}
    default_lifetime: int = 0  # seconds, where an answer has no expires_in
    punishes_reuse: bool | None = None  # a refresh token used twice ends the whole grant


class ClaudeConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """Relaying: which account is meant where a caller names none, and what may pay."""

    account: str = ""  # empty: `anthropic`, else the only account at that provider
    fallback: Literal["api-key", "none"] = "api-key"
    port: int = 0  # of the gateway on 127.0.0.1, always open; 0: only while `aixtiv exec` needs one


class ApiConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """An API to relay to, by the name of its provider or of one account; or changes to the ready-made anthropic."""

    origin: str = ""  # https://host, where calls go and nowhere else; may end in a path before `paths`
    paths: tuple[str, ...] = ()  # that are relayed: prefixes; empty: as known, else all
    refused: tuple[str, ...] = ()  # prefixes below them that are not
    key_header: str = ""  # where an API key stands; empty: as known, else Authorization: Bearer


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    default_account: str = ""
    log: Literal["debug", "info", "warning", "error"] = "info"
    network: Network = Network()
    vault: VaultConfig = VaultConfig()
    refresh: RefreshConfig = RefreshConfig()
    provider: dict[str, ProviderConfig] = {}
    claude: ClaudeConfig = ClaudeConfig()
    api: dict[str, ApiConfig] = {}
    access: AccessConfig = AccessConfig()
    rule: tuple[Rule, ...] = ()
    audit: AuditConfig = AuditConfig()


def load(path: Path) -> Config:
    """The config at `path`, or the defaults where there is no file. Raises BadConfig with file, key and expectation."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO opens without its writer
        try:
            _check_file(path, os.fstat(held))
            with open(held, encoding="utf-8-sig", closefd=False) as file:  # some editors put a mark first
                text = file.read()
        finally:
            os.close(held)
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} cannot be read: {_reason(error)}") from None
    import tomllib  # noqa: PLC0415  # heavy: where there is a file

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise BadConfig(f"{path} is not TOML: it is nested too deeply") from None
    except ValueError:  # behind the class of its own: a number of more than 4300 digits, a year 0
        raise BadConfig(f"{path} is not TOML that can be read: a number or a date in it is none") from None
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{path}: {_in_one_line(_in_words(str(error), tables))}") from None
    try:
        _check(config, path)
    except BadConfig as error:
        raise BadConfig(_in_one_line(error.sentence), hint=error.hint) from None
    return config


def _check_file(path: Path, found: os.stat_result) -> None:
    """Whoever can write it can send client secrets where they like: a user's group of their own may, others may not."""
    if not stat.S_ISREG(found.st_mode):
        raise BadConfig(f"{path} is not a plain file", hint=f"ls -l {shlex.quote(str(path))}")
    if found.st_uid not in (os.geteuid(), 0):
        raise BadConfig(f"{path} belongs to another user", hint=f"ls -l {shlex.quote(str(path))}")
    if found.st_mode & 0o002:
        raise BadConfig(f"{path} can be written by everybody", hint=f"chmod o-w {shlex.quote(str(path))}")


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is not UTF-8"


def _in_words(sentence: str, tables: dict[str, Any]) -> str:
    """msgspec's sentence with the key in front, as TOML writes it: `network.proxy: expected str, got int`.

    Never the value: it may be a secret in the wrong place.
    """
    what, _, path = sentence.partition(" - at `$")
    path = path.rstrip("`").lstrip(".").replace("[...]", "[]")  # "[]": of a dict, some value
    if rule := re.match(r"rule\[(\d+)\]\.?", path):  # counted from 1, as everywhere else
        return f"rule {int(rule[1]) + 1}: {_in_key_words(what, path[rule.end() :], path)}"
    where = path
    for table, kind in (("provider", ProviderConfig), ("api", ApiConfig)):
        if path.startswith(f"{table}[]"):
            where = path.replace("[]", f".{_wrong(tables[table], kind)}", 1).replace("[]", "")
    return _in_key_words(what, where, path)


def _in_key_words(what: str, where: str, path: str) -> str:
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        key = f"{where}.{unknown[1]}" if where else unknown[1]
        return f"unknown key {key}{_meant(unknown[1], path)}"
    if what.startswith("Invalid enum value"):
        return f"{where}: expected one of {_choices(path)}"
    return (
        f"{where or 'the file'}: {_TYPES.sub(lambda kind: _IN_TOML.get(kind[1], kind[1]), what[:1].lower() + what[1:])}"
    )


def _in_one_line(sentence: str) -> str:
    """What stands in quotes can hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in sentence)


def _meant(key: str, path: str) -> str:
    """The key of that table that is nearest, where one is near."""
    near = difflib.get_close_matches(key, [field.encode_name for field in msgspec.structs.fields(_kind(path))], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _wrong(tables: dict[str, Any], kind: type[Struct]) -> str:
    """The first `[provider.NAME]` that is none: msgspec's path leaves a dict's keys out."""
    for name, table in tables.items():
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError:
            return str(name)
    return "NAME"


def _choices(path: str) -> str:
    """The values that a key can have, quoted as TOML does."""
    return ", ".join(f'"{value}"' for value in get_args(_kind(path)))


def _kind(path: str) -> Any:
    """What stands there, as a type."""
    kind: Any = Config
    for part in path.split(".") if path else ():
        name, inside, _ = part.partition("[")
        kind = get_type_hints(kind)[name.replace("-", "_")]
        if inside:  # of a list, or of a dict
            kind = next(arg for arg in reversed(get_args(kind)) if arg is not ...)
    return kind


def _check(config: Config, path: Path) -> None:
    """What types cannot say."""
    _check_names(config, path)
    _check_numbers(config, path)
    if config.network.proxy and not (re.match("https?://", config.network.proxy) and _is_url(config.network.proxy)):
        raise BadConfig(f"{path}: network.proxy: expected an http:// URL")
    if "@" in config.network.proxy:
        raise BadConfig(f"{path}: network.proxy: a user and password cannot stand here: this file holds no secret")
    if config.vault.key_file and not ((place := _home(config.vault.key_file)) and place.is_absolute()):
        raise BadConfig(f"{path}: vault.key-file: expected an absolute path")
    _check_tables(config, path)
    for key, file in (("network.ca-file", config.network.ca_file), *_secret_files(config)):
        if file and not _is_file(file):
            raise BadConfig(f"{path}: {key}: no such file {file}")
    _check_certificates(config, path)


def _check_numbers(config: Config, path: Path) -> None:
    if not 0 <= config.vault.lock_after <= _LONGEST_LEFT:
        raise BadConfig(f"{path}: vault.lock-after: expected 0 to {_LONGEST_LEFT} minutes")
    if not 1 <= config.refresh.at_once <= 64:
        raise BadConfig(f"{path}: refresh.at-once: expected 1 to 64")
    if not 1 <= config.refresh.timeout <= 300:
        raise BadConfig(f"{path}: refresh.timeout: expected 1 to 300 seconds")
    if not 0 <= config.claude.port <= 65535:
        raise BadConfig(f"{path}: claude.port: expected 1 to 65535, or 0 for none")
    if not 1 <= config.audit.size <= 1024:
        raise BadConfig(f"{path}: audit.size: expected 1 to 1024 MiB")
    if not 0 <= config.audit.files <= 100:
        raise BadConfig(f"{path}: audit.files: expected 0 to 100")


def _home(file: str) -> Path | None:
    """With `~` as whose it is. None: nobody's, or no name that a file can have."""
    try:
        return None if "\0" in file else Path(file).expanduser()
    except RuntimeError:
        return None


def _is_file(file: str) -> bool:
    try:
        return (found := _home(file)) is not None and found.is_file()
    except OSError:  # a name that is too long
        return False


def _check_tables(config: Config, path: Path) -> None:
    for name, provider in config.provider.items():
        _check_provider(f"{path}: provider.{name}", provider)
    for name, api in config.api.items():
        _check_api(f"{path}: api.{name}", api)
    _check_access(config, path)


def _check_access(config: Config, path: Path) -> None:
    """A rule that can never fit, or fits what was not meant, is refused rather than passed over."""
    _check_patterns(f"{path}: access.relay-only", config.access.relay_only)
    for number, rule in enumerate(config.rule, 1):
        where = f"{path}: rule {number}"
        _check_patterns(f"{where}: accounts", rule.accounts)
        if not rule.accounts:
            raise BadConfig(f'{where}: accounts: expected names, or "*"')
        if rule.paths and "relay" not in rule.allow:
            raise BadConfig(f'{where}: paths: they say what may be relayed, and allow has no "relay"')
        if not all(re.fullmatch(r"/(?:[\w.~-]+/)*[\w.~-]*", prefix, re.ASCII) for prefix in rule.paths):
            raise BadConfig(f"{where}: paths: expected prefixes of paths, like /v1/messages")
        for key in ("executable", "cgroup"):
            said: str = getattr(rule.who, key)
            if said and not said.startswith(("/", "*")):
                raise BadConfig(f"{where}: who.{key}: expected an absolute path")
        if rule.who.unit and "." not in rule.who.unit and not rule.who.unit.endswith("*"):
            raise BadConfig(f"{where}: who.unit: expected a unit's whole name, like {rule.who.unit}.service")


def _check_patterns(where: str, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise BadConfig(f"{where}: {pattern!r} fits no account: expected letters, digits and . _ @ + - / *")


def _check_names(config: Config, path: Path) -> None:
    named = [("default-account", config.default_account), ("claude.account", config.claude.account)]
    named += [(table, name) for table in ("provider", "api") for name in getattr(config, table)]
    for key, name in named:
        if name and not _NAME.fullmatch(name):
            raise BadConfig(f"{path}: {key}: {name!r} is no name: expected letters, digits and . _ @ + - /")


def _check_certificates(config: Config, path: Path) -> None:
    if not config.network.ca_file:
        return
    import ssl  # noqa: PLC0415  # heavy: only where a file is named

    try:
        ssl.create_default_context(cafile=Path(config.network.ca_file).expanduser())
    except OSError:  # ssl.SSLError is one
        raise BadConfig(f"{path}: network.ca-file: {config.network.ca_file} holds no PEM certificates") from None


def _check_provider(where: str, provider: ProviderConfig) -> None:
    if provider.default_lifetime < 0:
        raise BadConfig(f"{where}.default-lifetime: expected seconds, 0 or more")
    for name in _RESERVED.intersection(provider.authorize_parameters):
        raise BadConfig(f"{where}.authorize-parameters: {name} is aixtiv's own to say")
    if provider.redirect_uri and not _is_url(provider.redirect_uri):
        raise BadConfig(f"{where}.redirect-uri: expected a URL")
    for field in ("issuer", *(name for name in provider.__struct_fields__ if name.endswith("_endpoint"))):
        url: str = getattr(provider, field)
        known = url.startswith(("https://", "http://127.0.0.1", "http://[::1]", "http://localhost")) and _is_url(url)
        if url and not known:
            raise BadConfig(f"{where}.{field.replace('_', '-')}: expected an https:// URL")


def _check_api(where: str, api: ApiConfig) -> None:
    """A credential goes to this origin: nothing in it may be read in two ways."""
    if api.origin and not _is_origin(api.origin):
        raise BadConfig(f"{where}.origin: expected https://host (http:// only for this machine), with a path at most")
    for key, paths in (("paths", api.paths), ("refused", api.refused)):
        if not all(re.fullmatch(r"/(?:[\w.~-]+/)*", prefix, re.ASCII) for prefix in paths):
            raise BadConfig(f"{where}.{key}: expected paths that begin and end with /, like /v1/")
    if api.key_header and not re.fullmatch(r"[A-Za-z0-9-]+", api.key_header):
        raise BadConfig(f"{where}.key-header: expected a header's name")
    if api.key_header.lower() in _FRAMING:
        raise BadConfig(f"{where}.key-header: {api.key_header} is aixtiv's own to say")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.scheme) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.port is None or parts.port > 0
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"})
    plain = re.fullmatch(r"https?://[\w.:\[\]-]+(?:/[\w.~-]+)*/?", text, re.ASCII)
    return bool(known and safe and plain and parts.hostname)


def _secret_files(config: Config) -> list[tuple[str, str]]:
    return [(f"provider.{name}.client-secret-file", p.client_secret_file) for name, p in config.provider.items()]
