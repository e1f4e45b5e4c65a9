"""Every key of the config file, set to something else than its default."""

from pathlib import Path

from aixtivd.config import (
    AccessConfig,
    AccountConfig,
    ApiConfig,
    AuditConfig,
    ClaudeConfig,
    Config,
    HooksConfig,
    McpConfig,
    Network,
    NoticesConfig,
    ProviderConfig,
    Publish,
    RefreshConfig,
    Rule,
    ServiceConfig,
    VaultConfig,
    Who,
    load,
)
from peers.certificates import certificate

FULL = """
default-account = "github"
log = "debug"

[network]
proxy = "http://proxy.example:3128"
no-proxy = ["localhost", ".example.org"]
ca-file = "CA"

[vault]
key = "file"
key-file = "~/aixtiv.key"
keyring-backend = "keyring.backends.SecretService.Keyring"
lock-after = 30
export = false

[refresh]
at-once = 3
timeout = 12

[provider.house]
issuer = "https://login.example"
client-id = "abc"
client-secret-file = "CA"
client-auth = "post"
authorization-endpoint = "https://login.example/authorize"
device-authorization-endpoint = "https://house.example/device"
token-endpoint = "http://127.0.0.1:8080/token"
revocation-endpoint = "http://localhost:8080/revoke"
introspection-endpoint = "http://[::1]:8080/introspect"
userinfo-endpoint = "https://login.example/me"
redirect-uri = "http://127.0.0.1:4711/callback"
scopes = ["openid", "offline_access"]
default-lifetime = 600
punishes-reuse = true

[provider.house.authorize-parameters]
prompt = "consent"

[provider.github]
client-id = "def"

[claude]
account = "anthropic/work"
fallback = "none"
port = 8790

[api.house]
origin = "https://api.house.example/base"
paths = ["/v2/"]
refused = ["/v2/admin/"]
key-header = "X-House-Key"

[access]
default = ["list", "relay"]
relay-only = ["anthropic"]

[[rule]]
who = { unit = "backup.service", executable = "/usr/bin/python3", script = "/home/ada/b.py", cgroup = "/user.slice/*" }
accounts = ["github"]
allow = ["relay"]
paths = ["/repos/"]

[audit]
size = 1
files = 3
on-failure = "stop"

[service]
idle-exit = 5

[notices]
desktop = false
every = 5
failing-after = 5
expires-within = 5

[hooks]
sign-in-needed = ["/usr/bin/true"]
failing = ["/usr/bin/true"]
expires-soon = ["/usr/bin/true"]
timeout = 5.0

[account.house]
hosts = ["git.house.example"]
username = "ada"
publish = { path = "/home/ada/house.token", format = "json", template = '{"token": "{access_token}"}' }

[mcp.ctt-mcp]
url = "https://mcp.house.example/mcp"
account = "house"
transport = "sse"
client-id = "abc"
client-id-metadata = "https://house.example/client.json"
scopes = ["mcp"]
"""


def test_every_key_there_is_can_be_set(folder: Path) -> None:
    certificate(folder)
    file = folder / "config.toml"
    ca = folder / "cert.pem"
    file.write_text(FULL.replace('"CA"', f'"{ca}"'))
    config = load(file)
    for table, ordinary in [
        (config, Config()),
        (config.network, Network()),
        (config.vault, VaultConfig()),
        (config.refresh, RefreshConfig()),
        (config.provider["house"], ProviderConfig()),
        (config.claude, ClaudeConfig()),
        (config.api["house"], ApiConfig()),
        (config.access, AccessConfig()),
        (config.rule[0], Rule()),
        (config.rule[0].who, Who()),
        (config.audit, AuditConfig()),
        (config.service, ServiceConfig()),
        (config.notices, NoticesConfig()),
        (config.hooks, HooksConfig()),
        (config.account["house"], AccountConfig()),
        (config.account["house"].publish or Publish(path=""), Publish(path="")),
        (config.mcp["ctt-mcp"], McpConfig(url="")),
    ]:
        same = [name for name in table.__struct_fields__ if getattr(table, name) == getattr(ordinary, name)]
        assert same == [], "a key that this test does not set"
    assert config.provider["github"] == ProviderConfig(client_id="def")
