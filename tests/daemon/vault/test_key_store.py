"""The desktop's key store, in every mood."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault.keys.keystore import KeyStore
from aixtivd.vault.keys.occasion import Occasion
from peers.keystores import Willing
from peers.vaults import image, inside, names, opened

KEYSTORE = "peers.keystores.{}".format
STORE = b"s" * 16


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        ("Locked", "the desktop key store is locked"),
        ("Denied", "the desktop key store denied access"),
        ("NotAllowedToAsk", "the desktop key store is locked: it may not ask here (-25308)"),
        ("Absent", "there is no desktop key store here (no Secret Service or Keychain answers)"),
        ("NotSetUp", "the desktop key store is not set up: it has no keyring that could be opened"),
        ("Forgetful", "the desktop key store does not give back what was stored in it"),
        ("Missing", "there is no keyring backend peers.keystores.Missing"),
        ("Hanging", "the desktop key store did not answer within 2 seconds; it may be waiting for a person"),
    ],
)
async def test_each_trouble_of_the_key_store_has_its_sentence(folder: Path, mood: str, sentence: str) -> None:
    async with opened(folder, VaultConfig(key="keyring", keyring_backend=KEYSTORE(mood))) as vault:
        assert (vault.locked, vault.lock_reason) == (True, sentence)
        assert names(folder) == ["store.lock"]


async def test_a_key_that_the_key_store_lost_is_told_from_a_locked_one(folder: Path) -> None:
    config = VaultConfig(key="keyring", keyring_backend=KEYSTORE("Willing"))
    async with opened(folder, config):
        pass
    Willing.kept.clear()
    async with opened(folder, config) as vault:
        assert vault.lock_reason == "the desktop key store answers, but has no key for this store (not found)"


@pytest.mark.parametrize(
    "backend",
    [
        "keyring.backends.fail.Keyring",
        "keyring.backends.null.Keyring",
        "keyring.backends.chainer.ChainerBackend",
        "keyrings.alt.file.PlaintextKeyring",
        "Keyring",
    ],
)
def test_a_backend_that_keeps_no_secrets_is_refused(folder: Path, backend: str) -> None:
    with pytest.raises(KeyFailed, match="is not a key store that keeps secrets"):
        KeyStore(backend).make(Occasion(folder, STORE))


async def test_a_store_cannot_name_a_module_that_the_config_does_not(folder: Path) -> None:
    """It would be imported, and run."""
    sys.modules.pop("this", None)
    async with opened(folder):
        pass
    with inside(folder) as db:
        db.execute("""UPDATE meta SET source = '{"source":"keyring","backend":"this.Zen"}'""")
    before = image(folder)
    async with opened(folder, VaultConfig(key="auto")) as vault:
        assert vault.lock_reason == (
            "the store names this.Zen as its key store: a backend that is not keyring's own has to stand in the config,"
            " too (vault.keyring-backend)"
        )
    assert "this" not in sys.modules
    assert image(folder) == before


def test_the_platforms_own_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert KeyStore.of_this_platform().backend == "keyring.backends.SecretService.Keyring"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert KeyStore.of_this_platform().backend == "keyring.backends.macOS.Keyring"


def test_two_stores_have_two_keys_in_one_key_store(folder: Path) -> None:
    source = KeyStore(KEYSTORE("Willing"))
    one, two = (Occasion(folder, store, backend=source.backend) for store in (b"1" * 16, b"2" * 16))
    first, second = source.make(one), source.make(two)
    assert first != second
    assert source.load(one) == first


def test_a_hanging_key_store_does_not_keep_the_process_from_ending(folder: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from aixtivd.clock import SystemClock; from aixtivd.config import VaultConfig\n"
        "from aixtivd.vault.vault import Vault\n"
        "async def main():\n"
        "    config = VaultConfig(key='keyring', keyring_backend='peers.keystores.Hanging')\n"
        "    vault = Vault(Path(sys.argv[1]), config, SystemClock())\n"
        "    await vault.open(); print(vault.lock_reason); await vault.aclose()\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program, str(folder)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.startswith("the desktop key store did not answer within 2 seconds")
