"""The config file: all of it or nothing, and an error that names file, key and what was expected."""

from pathlib import Path

import pytest

from aixtivd.config import Config, load
from aixtivd.errors import BadConfig


def test_no_file_means_the_defaults(folder: Path) -> None:
    assert load(folder / "config.toml") == Config()


def test_an_empty_file_means_the_defaults(folder: Path) -> None:
    path = folder / "config.toml"
    path.touch()
    assert load(path) == Config()


def test_every_table_is_read(folder: Path) -> None:
    (folder / "secret").write_text("s")
    path = folder / "config.toml"
    path.write_text(
        f"""
        default-account = "work"
        log = "debug"
        [network]
        proxy = "http://127.0.0.1:3128"
        [vault]
        key = "file"
        [refresh]
        at-once = 3
        timeout = 5
        [provider.work]
        client-id = "id"
        client-secret-file = "{folder}/secret"
        authorize-parameters = {{prompt = "consent"}}
        punishes-reuse = true
        """
    )
    config = load(path)
    assert (config.default_account, config.log, config.vault.key) == ("work", "debug", "file")
    assert (config.refresh.at_once, config.refresh.timeout) == (3, 5.0)
    assert config.provider["work"].authorize_parameters == {"prompt": "consent"}
    assert config.provider["work"].punishes_reuse is True


WRONG = [
    ("[network\n", "is not TOML"),
    ("proxy = 1\n", "unknown key proxy"),
    ("[network]\nproxies = 'x'\n", "unknown key network.proxies"),
    ("[provider.work]\nclient-secret = 'hunter2'\n", "unknown key provider.work.client-secret"),
    ("[network]\nproxy = 1\n", "network.proxy: expected `str`, got `int`"),
    ("[network]\nproxy = 'socks5://x'\n", "network.proxy: expected an http:// URL"),
    ("[network]\nca-file = '/nowhere/ca.pem'\n", "network.ca-file: no such file /nowhere/ca.pem"),
    ("[provider.work]\nclient-secret-file = '/nowhere'\n", "provider.work.client-secret-file: no such file /nowhere"),
    (
        "[provider.ok]\n[provider.work]\nclient-auth = 'hunter2'\n",
        'provider.work.client-auth: expected one of "", "none"',
    ),
    (
        "[provider.'a.b']\nclient-auth = 'hunter2'\n",
        'provider.a.b.client-auth: expected one of "", "none", "basic", "post"',
    ),
    ("[provider.work]\nauthorize-parameters = {a = 1}\n", "provider.work.authorize-parameters"),
    ("provider = 1\n", "provider: expected `object`, got `int`"),
    ("[provider]\nwork = 'x'\n", "provider.work: expected `object`, got `str`"),
    ("[vault]\nkey = 'hunter2'\n", 'vault.key: expected one of "auto", "systemd", "keyring", "file", "passphrase"'),
    ("log = 'loud'\n", 'log: expected one of "debug", "info", "warning", "error"'),
    ("[refresh]\nat-once = 0\n", "refresh.at-once: expected 1 to 64"),
    ("[refresh]\nat-once = 65\n", "refresh.at-once: expected 1 to 64"),
    ("[refresh]\ntimeout = 0.5\n", "refresh.timeout: expected 1 to 300 seconds"),
    ("[refresh]\ntimeout = nan\n", "refresh.timeout: expected 1 to 300 seconds"),
    ("[refresh]\ntimeout = inf\n", "refresh.timeout: expected 1 to 300 seconds"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_said_with_file_and_key_and_without_the_value(folder: Path, text: str, sentence: str) -> None:
    path = folder / "config.toml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load(path)
    assert caught.value.sentence.startswith(str(path))
    assert sentence in caught.value.sentence
    assert "hunter2" not in caught.value.sentence  # a secret in the wrong place


def test_a_file_that_cannot_be_read_is_a_sentence(folder: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read: Is a directory"):
        load(folder)
    (folder / "config.toml").write_bytes(b"log = '\xff'")
    with pytest.raises(BadConfig, match="cannot be read: it is not UTF-8"):
        load(folder / "config.toml")
