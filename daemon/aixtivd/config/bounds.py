"""What the types of the config file cannot say: bounds, names, addresses, files that have to be there."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aixtivd.config.accounts import check_accounts
from aixtivd.config.tables import ApiConfig, Config, McpConfig, ProviderConfig
from aixtivd.errors import BadConfig

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+/-]*")
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._@+/*-]*")
_RESERVED: Final = frozenset(
    {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}
)
_LOCAL: Final = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::\d+)?(?=[/?#]|\Z)", re.ASCII)
_WEEK: Final = 10_080  # minutes
_FRAMING: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"})


def check(config: Config, path: Path) -> None:
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
    for key, minutes, least in (
        ("vault.lock-after", config.vault.lock_after, 0),
        ("service.idle-exit", config.service.idle_exit, 0),
        ("notices.every", config.notices.every, 1),
        ("notices.failing-after", config.notices.failing_after, 0),
        ("notices.expires-within", config.notices.expires_within, 0),
    ):
        if not least <= minutes <= _WEEK:
            raise BadConfig(f"{path}: {key}: expected {least} to {_WEEK} minutes")
    if not 1 <= config.hooks.timeout <= 300:
        raise BadConfig(f"{path}: hooks.timeout: expected 1 to 300 seconds")
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
    for name, server in config.mcp.items():
        _check_server(f"{path}: mcp.{name}", server)
    _check_access(config, path)
    check_accounts(config, path)
    for key in ("sign_in_needed", "failing", "expires_soon"):
        command: tuple[str, ...] = getattr(config.hooks, key)
        if command and not Path(command[0]).is_absolute():
            raise BadConfig(f"{path}: hooks.{key.replace('_', '-')}: expected an absolute path as its first word")


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
    named += [(table, name) for table in ("provider", "api", "account", "mcp") for name in getattr(config, table)]
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
        if url and not _is_safe(url):
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


def _check_server(where: str, server: McpConfig) -> None:
    """Its account's token goes to this address."""
    if not _is_address(server.url):
        raise BadConfig(f"{where}.url: expected https://host/path (http:// only for this machine), without user or #")
    if server.account and not _NAME.fullmatch(server.account):
        raise BadConfig(f"{where}.account: {server.account!r} is no name: expected letters, digits and . _ @ + - /")
    document = server.client_id_metadata
    if document and not (
        document.startswith("https://") and _is_address(document) and len(urlsplit(document).path) > 1
    ):
        raise BadConfig(f"{where}.client-id-metadata: expected https://host/path of a document that is yours")
    if not all(re.fullmatch(r"[!#-\[\]-~]+", scope) for scope in server.scopes):  # RFC 6749 §3.3
        raise BadConfig(f"{where}.scopes: expected a list of scopes, one word each")


def _is_address(text: str) -> bool:
    """A URL of nothing but scheme, host, port, path and query, in visible ASCII."""
    plain = re.fullmatch(r"https?://[\w.:\[\]-]+(?:/[!-\"$-~]*)?", text, re.ASCII)
    return bool(plain and _is_safe(text) and urlsplit(text).port != 0)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.scheme) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False


def _is_safe(text: str) -> bool:
    """A URL by which what is sent cannot be read on the way: TLS, or this machine itself and no name that begins so."""
    if text.startswith("https://"):
        return _is_url(text) and bool(urlsplit(text).hostname)
    return bool(_LOCAL.match(text)) and _is_url(text)


def _is_origin(text: str) -> bool:
    plain = re.fullmatch(r"https?://[\w.:\[\]-]+(?:/[\w.~-]+)*/?", text, re.ASCII)
    return bool(plain and _is_safe(text) and urlsplit(text).port != 0)


def _secret_files(config: Config) -> list[tuple[str, str]]:
    return [(f"provider.{name}.client-secret-file", p.client_secret_file) for name, p in config.provider.items()]
