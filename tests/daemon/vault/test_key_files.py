"""The key file and the systemd credential: keys that lie in a file."""

import os
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault.keys.credential import Credential
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.keys.occasion import Occasion
from peers.vaults import credential, image, names, opened, row

KEYSTORE = "peers.keystores.{}".format
STORE = b"s" * 16


def test_a_key_file_is_private_random_and_never_overwritten(folder: Path) -> None:
    occasion = Occasion(folder, STORE)
    material = KeyFile().make(occasion)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert KeyFile().make(Occasion(folder, b"another store id")) == material
    other = folder / "other"
    other.mkdir()
    assert KeyFile().make(Occasion(other, STORE)) != material
    assert sorted(path.name for path in folder.iterdir()) == ["key", "other"]


async def test_a_key_file_of_the_configs_choice_is_recorded_with_its_whole_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    home = folder / "home"
    async with opened(home, VaultConfig(key="file", key_file="my-key")) as vault:
        await vault.journal.commit(row(1), None)
    assert (folder / "my-key").stat().st_mode & 0o777 == 0o600
    monkeypatch.chdir("/")
    async with opened(home, VaultConfig(key="file", key_file="another")) as vault:
        assert await vault.rows() == [row(1)]


def test_a_key_file_can_lie_elsewhere(folder: Path) -> None:
    source = KeyFile(str(folder / "elsewhere"))
    occasion = Occasion(folder / "home", STORE)
    assert source.make(occasion) == (folder / "elsewhere").read_bytes()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o644])
async def test_a_key_file_that_is_too_open_leaves_the_vault_locked(folder: Path, mode: int) -> None:
    async with opened(folder):
        pass
    (folder / "key").chmod(mode)
    before = image(folder)
    async with opened(folder) as vault:
        assert vault.locked
        assert vault.lock_reason == f"the key file {folder}/key is open to others (mode {mode:04o})"
        with pytest.raises(KeyFailed) as failure:
            await vault.unlock()
        assert failure.value.hint == f"chmod 600 {folder}/key"
        assert image(folder) == before
        (folder / "key").chmod(0o600)
        await vault.unlock()
        assert not vault.locked
        assert vault.lock_reason == ""


async def test_a_key_file_that_is_a_link_or_of_another_user_is_not_taken(folder: Path) -> None:
    async with opened(folder):
        pass
    (folder / "key").rename(folder / "real")
    (folder / "key").symlink_to(folder / "real")
    async with opened(folder) as vault:
        assert vault.lock_reason == f"the key file {folder}/key is not a plain file"


def test_a_short_key_file_is_refused(folder: Path) -> None:
    path = folder / "key"
    path.touch(0o600)
    path.write_bytes(bytes(31))
    with pytest.raises(KeyFailed, match="holds 31 bytes; a key is 32 or more"):
        KeyFile().load(Occasion(folder, STORE))


async def test_a_crash_between_key_and_store_leaves_a_usable_key(folder: Path) -> None:
    await anyio.to_thread.run_sync(KeyFile().make, Occasion(folder, STORE))
    key = (folder / "key").read_bytes()
    (folder / "store.db.new").write_bytes(b"half a store")
    async with opened(folder) as vault:
        assert await vault.journal.commit(row(1), None)
    assert (folder / "key").read_bytes() == key
    async with opened(folder) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_crash_in_the_middle_of_the_key_leaves_nothing_in_the_way(folder: Path) -> None:
    (folder / "key.new").write_bytes(b"half a k")
    async with opened(folder) as vault:
        assert not vault.locked
    assert not (folder / "key.new").exists()


@pytest.mark.parametrize("content", [bytes(32), b"thirty-two characters of text...", os.urandom(4096)])
def test_a_credential_of_32_bytes_or_more_is_taken_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    credential(folder, monkeypatch, content)
    assert Credential().make(Occasion(folder, STORE)) == content


async def test_a_short_credential_is_a_sentence_and_is_not_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = credential(folder, monkeypatch, b"too short")
    async with opened(folder / "home", VaultConfig(key="auto")) as vault:
        assert vault.locked
        assert vault.lock_reason == f"the systemd credential {path} holds 9 bytes; a key is 32 or more"
        assert names(folder / "home") == ["store.lock"]


async def test_a_credential_that_cannot_be_looked_at_is_not_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loop").symlink_to(folder / "loop")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "loop"))
    async with opened(folder / "home", VaultConfig(key="auto")) as vault:
        assert vault.lock_reason == (
            f"the systemd credential {folder}/loop/aixtiv.key cannot be read: too many levels of symbolic links"
        )


def test_without_systemd_the_sentence_says_so(folder: Path) -> None:
    with pytest.raises(KeyFailed, match="CREDENTIALS_DIRECTORY is not set"):
        Credential().load(Occasion(folder, STORE))


def test_a_credential_that_is_a_pipe_waits_for_nobody_and_one_behind_a_link_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = credential(folder, monkeypatch)
    path.rename(folder / "real")
    path.symlink_to(folder / "real")
    assert Credential().load(Occasion(folder, STORE)) == bytes(range(32))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(KeyFailed, match="cannot be read: it is not a plain file"):
        Credential().load(Occasion(folder, STORE))
