"""The config file: all of it or nothing, and an error that names file, key and what was expected, never a value."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from aixtivd.config import (
    ApiConfig,
    ClaudeConfig,
    Config,
    Network,
    ProviderConfig,
    RefreshConfig,
    VaultConfig,
    load,
)
from aixtivd.errors import BadConfig
from peers.certificates import certificate

_ORIGIN = "expected https://host (http:// only for this machine), with a path at most"


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "config.toml"


def test_without_a_file_everything_is_as_it_always_is(file: Path) -> None:
    assert load(file) == Config()


def test_an_empty_file_says_the_same(file: Path) -> None:
    file.write_text("")
    assert load(file) == Config()


@pytest.mark.parametrize(
    ("toml", "expectation"),
    [
        ("a =", "is not TOML: Invalid value (at end of document)"),
        ("a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        ('default-acount = "x"', "unknown key default-acount; did you mean default-account?"),
        ("[netwrok]", "unknown key netwrok; did you mean network?"),
        ("[network]\nproxi = 1", "unknown key network.proxi; did you mean proxy?"),
        (
            '[provider.x]\nclient-secret = "hunter2"',
            "unknown key provider.x.client-secret; did you mean client-secret-file?",
        ),
        ("default_account = 'x'", "unknown key default_account; did you mean default-account?"),
        (
            '[account.a]\npublish = { path = "/t", formt = "bare" }',
            "unknown key account.a.publish.formt; did you mean format?",
        ),
        (
            '[account.a]\npublish = { path = "/t", format = "hunter2" }',
            'account.a.publish.format: expected one of "bare", "anthropic", "json"',
        ),
        ('[account.a]\npublish = "hunter2"', "account.a.publish: expected a table, got a string"),
        ("[account.a]\npublish = {}", "account.a.publish: it has no path"),
        ('[mcp.a]\nurk = "hunter2"', "unknown key mcp.a.urk; did you mean url?"),
        ("default-account = 3", "default-account: expected a string, got a whole number"),
        ('log = "hunter2"', 'log: expected one of "debug", "info", "warning", "error"'),
        ("network = 3", "network: expected a table, got a whole number"),
        ("[network]\nproxy = 3", "network.proxy: expected a string, got a whole number"),
        ('[network]\nproxy = "socks5://x"', "network.proxy: expected an http:// URL"),
        ('[network]\nno-proxy = "hunter2"', "network.no-proxy: expected a list, got a string"),
        ('[network]\nno-proxy = ["x", 3]', "network.no-proxy[1]: expected a string, got a whole number"),
        ('[network]\nca-file = "/no/such.pem"', "network.ca-file: no such file /no/such.pem"),
        ('[network]\nca-file = "/"', "network.ca-file: no such file /"),
        (
            '[vault]\nkey = "usb"',
            'vault.key: expected one of "auto", "systemd", "keyring", "file", "passphrase"',
        ),
        ('[refresh]\nat-once = "8"', "refresh.at-once: expected a whole number, got a string"),
        ("[vault]\nlock-after = -1", "vault.lock-after: expected 0 to 10080 minutes"),
        ("[vault]\nlock-after = 10081", "vault.lock-after: expected 0 to 10080 minutes"),
        ("[refresh]\nat-once = 0", "refresh.at-once: expected 1 to 64"),
        ("[refresh]\nat-once = 65", "refresh.at-once: expected 1 to 64"),
        ("[refresh]\ntimeout = true", "refresh.timeout: expected a number, got true or false"),
        ("[refresh]\ntimeout = 0.5", "refresh.timeout: expected 1 to 300 seconds"),
        ("[refresh]\ntimeout = nan", "refresh.timeout: expected 1 to 300 seconds"),
        ("[refresh]\ntimeout = inf", "refresh.timeout: expected 1 to 300 seconds"),
        ("provider = []", "provider: expected a table, got a list"),
        ("[provider]\nx = 1", "provider.x: expected a table, got a whole number"),
        ("[provider.ok]\n[provider.x]\nscopes = [1]", "provider.x.scopes[0]: expected a string, got a whole number"),
        ('[provider.x]\nclient-auth = "jwt"', 'provider.x.client-auth: expected one of "", "none", "basic", "post"'),
        (
            '[provider."a.b"]\nclient-auth = "hunter2"',
            'provider.a.b.client-auth: expected one of "", "none", "basic", "post"',
        ),
        (
            "[provider.x.authorize-parameters]\na = 1",
            "provider.x.authorize-parameters: expected a string, got a whole number",
        ),
        ('[provider.x]\npunishes-reuse = "yes"', "provider.x.punishes-reuse: expected true or false, got a string"),
        ("[provider.x]\ndefault-lifetime = -1", "provider.x.default-lifetime: expected seconds, 0 or more"),
        ('[provider.x]\nissuer = "hunter2"', "provider.x.issuer: expected an https:// URL"),
        (
            '[provider.x]\ntoken-endpoint = "http://login.example/token"',
            "provider.x.token-endpoint: expected an https:// URL",
        ),
        *(
            (f'[provider.x]\n{key} = "{url}"', f"provider.x.{key}: expected an https:// URL")
            for key, url in (
                ("token-endpoint", "http://127.0.0.1.evil.example/"),
                ("token-endpoint", "http://localhost.evil.example/token"),
                ("issuer", "http://localhost@evil.example"),
                ("issuer", "http://[::1].evil.example"),
                ("revocation-endpoint", "https:///revoke"),
            )
        ),
        ('[provider.x]\nclient-secret-file = "/no/such"', "provider.x.client-secret-file: no such file /no/such"),
    ],
)
def test_an_error_names_file_key_and_expectation(file: Path, toml: str, expectation: str) -> None:
    file.write_text(toml)
    with pytest.raises(BadConfig) as refused:
        load(file)
    sentence = refused.value.sentence
    assert sentence.replace(f"{file}: ", "").replace(f"{file} ", "") == expectation
    assert str(file) in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_file_that_cannot_be_read_is_not_the_same_as_none_and_hangs_nobody(
    file: Path, make: Callable[[Path], object]
) -> None:
    make(file)
    with pytest.raises(BadConfig, match=f"{file} is not a plain file"):
        load(file)


def test_a_file_deeper_than_the_stack_is_a_sentence(file: Path) -> None:
    file.write_text("a = " + "[" * 50_000)
    with pytest.raises(BadConfig, match="is nested too deeply"):
        load(file)


def test_a_file_that_is_not_utf_8_is_a_sentence(file: Path) -> None:
    file.write_bytes(b'log = "\xff"')
    with pytest.raises(BadConfig, match=f"{file} cannot be read: it is not UTF-8"):
        load(file)


def test_a_tilde_is_the_home_folder(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    certificate(folder)
    file.write_text('[network]\nca-file = "~/cert.pem"')
    assert load(file).network.ca_file == "~/cert.pem"


@pytest.mark.parametrize(
    "table", [Config, Network, VaultConfig, RefreshConfig, ProviderConfig, ClaudeConfig, ApiConfig]
)
def test_no_table_takes_a_key_it_does_not_know_or_can_be_changed(table: type[msgspec.Struct]) -> None:
    assert table.__struct_config__.forbid_unknown_fields
    assert table.__struct_config__.frozen
    assert not any("_" in name for name in table.__struct_encode_fields__)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('default-account = "a b"', "default-account: 'a b' is no name"),
        ('[provider."a b"]', "provider: 'a b' is no name"),
        ('[network]\nproxy = "http://user:hunter2@proxy:1"', "this file holds no secret"),
        ('[network]\nca-file = "/etc/passwd"', "ca-file: /etc/passwd holds no PEM certificates"),
        ('[vault]\nkey-file = "here"', "vault.key-file: expected an absolute path"),
        ('[provider.x]\nauthorize-parameters = {state = "mine"}', "state is aixtiv's own to say"),
        ('[provider.x]\nredirect-uri = "foo"', "redirect-uri: expected a URL"),
        ('[claude]\naccount = "a b"', "claude.account: 'a b' is no name"),
        ("[claude]\nport = 65536", "claude.port: expected 1 to 65535"),
        ("[audit]\nsize = 0", "audit.size: expected 1 to 1024 MiB"),
        ('[account.a]\nhosts = ["https://h"]', "account.a.hosts: 'https://h' is no HOST[:PORT][/PATH]"),
        ('[account.a]\nhosts = ["*.h"]', "account.a.hosts: '*.h' is no HOST[:PORT][/PATH]"),
        ('[account.a]\nusername = "a\\nb"', "account.a.username: expected a name in one line"),
        ('[account.a]\npublish = {path = "x"}', "account.a.publish.path: expected an absolute path"),
        ('[account.a]\npublish = {path = "/x/../y"}', "account.a.publish.path: expected an absolute path"),
        (
            '[account.a]\npublish = {path = "/x/y"}\n[account.b]\npublish = {path = "/x/y"}',
            "account.b.publish.path: a is published there already",
        ),
        (
            '[account.a]\npublish = {path = "/x/y", template = "{access_token}"}',
            'account.a.publish.template: expected with format = "json"',
        ),
        (
            """[account.a]\npublish = {path = "/x/y", format = "json", template = '{"a":"{refresh_token}"}'}""",
            "account.a.publish.template: {refresh_token} is not known",
        ),
        ("[audit]\nfiles = 101", "audit.files: expected 0 to 100"),
        ('[[rule]]\nallow = ["hunter2"]', 'rule 1: allow[0]: expected one of "list", "token", "relay", "manage"'),
        ("[[rule]]\n[[rule]]\nalow = []", "rule 2: unknown key alow; did you mean allow?"),
        ('[[rule]]\nwho = { exe = "/x" }', "rule 1: unknown key who.exe"),
        ("[rule]", "rule: expected a list, got a table"),
        ('[access]\ndefault = ["all"]', 'access.default[0]: expected one of "list"'),
        ('[access]\nrelay-only = ["a b"]', "access.relay-only: 'a b' fits no account"),
        ('[access]\nrelay-only = ["[ab]"]', "access.relay-only: '[ab]' fits no account"),
        ("[[rule]]\naccounts = []", 'rule 1: accounts: expected names, or "*"'),
        ('[[rule]]\naccounts = [""]', "rule 1: accounts: '' fits no account"),
        ('[[rule]]\nwho = { unit = "backup" }', "rule 1: who.unit: expected a unit's whole name, like backup.service"),
        ('[[rule]]\nwho = { executable = "restic" }', "rule 1: who.executable: expected an absolute path"),
        ('[[rule]]\nwho = { cgroup = "user.slice" }', "rule 1: who.cgroup: expected an absolute path"),
        (
            '[[rule]]\nallow = ["list"]\npaths = ["/v1/"]',
            "rule 1: paths: they say what may be relayed, and allow has no",
        ),
        ('[[rule]]\nallow = ["relay"]\npaths = ["v1/"]', "rule 1: paths: expected prefixes of paths"),
        ('[[rule]]\nallow = ["relay"]\npaths = ["/v1/*"]', "rule 1: paths: expected prefixes of paths"),
        ('[[rule]]\nallow = ["relay"]\npaths = ["/v1//x"]', "rule 1: paths: expected prefixes of paths"),
        ('[claude]\nfallback = "token"', 'claude.fallback: expected one of "api-key", "none"'),
        ('[api."a b"]', "api: 'a b' is no name"),
        ('[api.ok]\n[api.x]\npaths = "/v1/"', "api.x.paths: expected a list, got a string"),
        ("[api.x]\nhost = 1", "unknown key api.x.host"),
        ('[claude]\nacount = "x"', "unknown key claude.acount; did you mean account?"),
        ('[api.x]\norigins = "x"', "unknown key api.x.origins; did you mean origin?"),
        *(
            (f'[api.x]\norigin = "{origin}"', f"api.x.origin: {_ORIGIN}")
            for origin in (
                "http://api.example",
                "http://localhost.example",
                "api.example",
                "https://",
                "https://user:hunter2@api.example",
                "https://api.example/?a=b",
                "https://api.example/#a",
                "https://api.example/a/../b/%2e",
                "https://api.example:port",
                "https://[::1",
                "https://api.example\\\\@evil.example",
            )
        ),
        ('[api.x]\npaths = ["v1/"]', "api.x.paths: expected paths that begin and end with /"),
        ('[api.x]\nrefused = ["/v1"]', "api.x.refused: expected paths that begin and end with /"),
        ('[api.x]\nkey-header = "a b"', "api.x.key-header: expected a header's name"),
        ('[api.x]\nkey-header = "Host"', "api.x.key-header: Host is aixtiv's own to say"),
        ("default-account = 1", "default-account: expected a string, got a whole number"),
        ("[network]\nproxy = []", "network.proxy: expected a string, got a list"),
    ],
)
def test_what_cannot_work_is_said_in_words_and_without_its_secret(folder: Path, toml: str, said: str) -> None:
    file = folder / "config.toml"
    file.write_text(toml)
    with pytest.raises(BadConfig) as caught:
        load(file)
    assert said in caught.value.sentence
    assert "hunter2" not in caught.value.sentence


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    file = folder / "config.toml"
    file.write_bytes(b'\xef\xbb\xbfdefault-account = "work"')
    assert load(file).default_account == "work"


def test_a_file_that_everybody_can_write_is_not_read(folder: Path) -> None:
    file = folder / "config.toml"
    file.write_text("")
    file.chmod(0o646)
    with pytest.raises(BadConfig, match="can be written by everybody") as caught:
        load(file)
    assert caught.value.hint == f"chmod o-w {file}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_read(folder: Path) -> None:
    file = folder / "config.toml"
    file.write_text("")
    os.chown(file, 65534, 65534)
    with pytest.raises(BadConfig, match="belongs to another user"):
        load(file)
