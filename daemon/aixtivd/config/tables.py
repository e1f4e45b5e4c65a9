"""What can stand in the config file: its tables as frozen Structs, with their defaults."""

from typing import Literal

from msgspec import Struct

from aixtiv_protocol.requests import Right


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
    device_authorization_endpoint: str = ""
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


class ServiceConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    idle_exit: int = 0  # minutes without a caller and with nothing due, after which the daemon ends; 0: never


class NoticesConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """What a person is told of, on the desktop and by hooks."""

    desktop: bool = True
    every: int = 60  # minutes between two notices about the same thing
    failing_after: int = 10  # minutes for which refreshes of an account have to fail
    expires_within: int = 60  # minutes before a token ends that nothing renews


class HooksConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """Commands; the first word of each an absolute path. The event is JSON on their stdin."""

    sign_in_needed: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    expires_soon: tuple[str, ...] = ()
    timeout: float = 30.0  # seconds


class Publish(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """A file for a tool that reads its token from one. Never a refresh token."""

    path: str
    format: Literal["bare", "anthropic", "json"] = "bare"
    template: str = ""  # of "json": a JSON text in which {access_token}, {expires_at} … are filled in


class AccountConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """What one account is good for beside its API."""

    hosts: tuple[str, ...] = ()  # HOST[:PORT][/PATH] whose tools (git, kubectl, pip …) get its token, and no other's
    username: str = ""  # shown beside it where a tool wants one; empty: as the tool's protocol has it
    publish: Publish | None = None


class McpConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """A remote MCP server that `aixtiv mcp NAME` bridges to."""

    url: str
    account: str = ""  # that it is called with; empty: the server's name
    transport: Literal["auto", "http", "sse"] = "auto"  # Streamable HTTP, or the older HTTP+SSE
    client_id: str = ""  # of a client that was registered there by hand
    client_id_metadata: str = ""  # https URL of a client-id metadata document that is yours
    scopes: tuple[str, ...] = ()  # empty: as the server says


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
    service: ServiceConfig = ServiceConfig()
    notices: NoticesConfig = NoticesConfig()
    hooks: HooksConfig = HooksConfig()
    account: dict[str, AccountConfig] = {}
    mcp: dict[str, McpConfig] = {}
