"""The key moved from any source to any other: nothing is overwritten, and the store is one source's or the other's."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtiv_protocol.requests import KeySource
from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault import keys
from aixtivd.vault.keys.credential import Credential
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.keys.keystore import KeyStore
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import CHEAP, Passphrase
from aixtivd.vault.rotation import Moved
from aixtivd.vault.vault import Vault
from peers.keystores import Willing
from peers.rotated import PHRASE, data_key, furnished, meta_of, whole
from peers.vaults import credential, image, opened, row

BACKEND = "peers.keystores.Willing"
SOURCES: tuple[KeySource, ...] = ("file", "systemd", "keyring", "passphrase")
NEW = Secret("battery staple")


def config(key: str = "auto", **changed: str) -> VaultConfig:
    return VaultConfig(key=key, keyring_backend=BACKEND, **changed)  # type: ignore[arg-type]  # one of the sources


def key_files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("key*")}


async def opened_by_its_source(vault: Vault, phrase: Secret) -> None:
    """Where it wants a passphrase, with that one."""
    assert vault.locked == (vault.key_source == "passphrase")
    await vault.unlock(phrase if vault.locked else None)


def lies(moved: Moved, to: KeySource) -> str:
    """Of a key file the answer and the reason say where it is."""
    return f"; it is {moved.place}" if to == "file" else ""


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a machine where every source can be had."""
    credential(folder, monkeypatch)
    return folder / "home"


@pytest.mark.parametrize("to", SOURCES)
@pytest.mark.parametrize("present", SOURCES)
async def test_from_any_source_to_any_other(home: Path, present: KeySource, to: KeySource) -> None:
    old = PHRASE if present == "passphrase" else None
    async with opened(home, config(present)) as vault:
        await opened_by_its_source(vault, PHRASE)
        before = await furnished(vault)
        if present == to == "systemd":
            with pytest.raises(KeyFailed, match="comes from the systemd credential already"):
                await vault.move(to)
            return
        moved = await vault.move(to, old, NEW if to == "passphrase" else None)
        assert moved.misnamed == ("" if present == to else present)
        assert (vault.key_source, vault.key_reason) == (
            to,
            f"it was moved here from the {present} source{lies(moved, to)}",
        )
        assert await whole(vault) == before
        await vault.lock()
        await vault.unlock(NEW if to == "passphrase" else None)  # whatever the config said at the start
        assert await whole(vault) == before
    async with opened(home, config()) as vault:
        assert vault.key_source == to
        await opened_by_its_source(vault, NEW)
        assert await whole(vault) == before
    assert (await data_key(home, NEW.reveal(), BACKEND)).made_at


@pytest.mark.parametrize("present", SOURCES)
async def test_after_a_move_the_old_source_opens_nothing_new(
    home: Path, monkeypatch: pytest.MonkeyPatch, present: KeySource
) -> None:
    """Not even with the wrapped key of a copy that was made before: the data key is another one, too."""
    async with opened(home, config(present)) as vault:
        await opened_by_its_source(vault, PHRASE)
        await furnished(vault)
    meta, before = await meta_of(home), await data_key(home, PHRASE.reveal(), BACKEND)
    to: KeySource = "file" if present == "passphrase" else "passphrase"
    async with opened(home, config(present)) as vault:
        await opened_by_its_source(vault, PHRASE)
        await vault.move(to, PHRASE if present == "passphrase" else None, NEW)
    after = await meta_of(home)
    assert after.source != meta.source
    assert (await data_key(home, NEW.reveal(), BACKEND)).seals != before.seals
    shutil.rmtree(home.parent / "credentials")
    Willing.kept.clear()
    if present == "file":
        (home / "key").unlink()
    async with opened(home, config()) as vault:
        await opened_by_its_source(vault, NEW)
        assert len(await vault.rows()) == 5


async def test_a_config_that_names_the_old_source_keeps_the_vault_locked_at_the_next_start(home: Path) -> None:
    async with opened(home, config("file")) as vault:
        await vault.journal.commit(row(1), None)
        assert (await vault.move("keyring")).misnamed == "file"
        assert (await vault.move("keyring")).misnamed == "", "it was said, and is what is asked for until then"
    async with opened(home, config("file")) as vault:
        assert vault.locked
        assert 'set vault.key to "keyring" or "auto"' in vault.lock_reason
        with pytest.raises(KeyFailed) as refused:
            await vault.unlock()
        assert refused.value.hint == "aixtiv stop", "a reload would not do, and a check of the config finds nothing"
    async with opened(home, config("keyring")) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_key_file_is_never_overwritten_and_has_a_name_that_was_free(home: Path) -> None:
    async with opened(home, config("file")) as vault:
        for number in (2, 3):
            seen = key_files(home)
            moved = await vault.move("file")
            assert moved.left.startswith(f"the key file {home}/key")
            assert moved.place == f"the key file {home}/key-{number}"
            assert vault.key_reason.endswith(f"; it is {moved.place}")
            assert (home / f"key-{number}").stat().st_mode & 0o777 == 0o600
            assert {name: key_files(home)[name] for name in seen} == seen
    assert len(set(key_files(home).values())) == 3
    moved_home = await anyio.to_thread.run_sync(home.rename, home.with_name("moved"))
    for stale in ("key", "key-2"):
        (moved_home / stale).unlink()
    async with opened(moved_home, config("file")) as vault:
        assert not vault.locked, "the name is found beside the store wherever that is"


async def test_the_config_can_name_the_new_key_file_and_bring_a_key_along(home: Path) -> None:
    mine = home.parent / "mine"
    mine.touch(0o600)
    mine.write_bytes(b"a key of my own, of thirty-two bytes or more")
    async with opened(home, config("file", key_file=str(mine))) as vault:
        with pytest.raises(KeyFailed, match=f"comes from the key file {mine} already"):
            await vault.move("file")
    async with opened(home, config("file", key_file=str(home.parent / "another"))) as vault:
        await vault.move("file")
    assert f'"path":"{home.parent}/another"' in (await meta_of(home)).source
    assert mine.read_bytes() == b"a key of my own, of thirty-two bytes or more"


async def test_an_entry_of_the_key_store_is_never_overwritten(home: Path) -> None:
    async with opened(home, config("keyring")) as vault:
        await vault.journal.commit(row(1), None)
        for number in (1, 2):
            before = dict(Willing.kept)
            assert len(before) == number
            moved = await vault.move("keyring")
            assert moved.left.startswith("the entry ")
            assert {entry: Willing.kept[entry] for entry in before} == before
    async with opened(home, config("keyring")) as vault:
        assert await vault.rows() == [row(1)]


@pytest.mark.parametrize("mood", ["Locked", "Denied", "Absent", "Forgetful", "Missing"])
async def test_a_key_store_that_does_not_take_the_key_leaves_everything_as_it_was(home: Path, mood: str) -> None:
    async with opened(home, VaultConfig(key="file", keyring_backend=f"peers.keystores.{mood}")) as vault:
        expected = await furnished(vault)
        before = image(home)
        with pytest.raises(KeyFailed):
            await vault.move("keyring")
        assert image(home) == before
        assert (vault.key_source, await whole(vault)) == ("file", expected)


async def test_a_key_that_is_not_read_back_as_it_was_made_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the next start would read it: from what is recorded."""
    async with opened(home, config("file")) as vault:
        await vault.journal.commit(row(1), None)
        before = image(home)
        monkeypatch.setattr(KeyStore, "make", lambda _self, _occasion: b"what was made, but is not what is loaded")
        Willing.kept.clear()
        with pytest.raises(KeyFailed, match="has no key for this store"):
            await vault.move("keyring")
        monkeypatch.setattr(
            KeyStore, "load", lambda _self, _occasion: b"something else, but as long as a key has to be"
        )
        with pytest.raises(KeyFailed, match="does not give back the key that was put there"):
            await vault.move("keyring")
        assert image(home) == before


async def test_to_systemd_the_credential_has_to_be_there(folder: Path) -> None:
    async with opened(folder) as vault:
        before = image(folder)
        with pytest.raises(KeyFailed, match=r"no systemd credential aixtiv\.key was handed over"):
            await vault.move("systemd")
        assert image(folder) == before


async def test_a_source_that_no_longer_answers_does_not_hold_an_open_vault_back(home: Path) -> None:
    """The desktop's key store is gone, and the vault is still open: that is when its key has to move."""
    async with opened(home, config("keyring")) as vault:
        before = await furnished(vault)
        Willing.kept.clear()
        with pytest.raises(KeyFailed, match="not found"):
            await vault.rotate()
        await vault.move("file")
        assert await whole(vault) == before
    async with opened(home, config("file")) as vault:
        assert await whole(vault) == before


@pytest.mark.parametrize("given", [None, "", "wrong"])
async def test_a_passphrase_is_asked_for_before_the_key_is_moved_away_from_it(home: Path, given: str | None) -> None:
    """Else whoever finds the vault open takes it with them."""
    async with opened(home, config("passphrase")) as vault:
        await vault.unlock(PHRASE)
        before = image(home)
        for to in SOURCES:
            with pytest.raises(KeyFailed):
                await vault.move(to, None if given is None else Secret(given), NEW)
        assert image(home) == before


@pytest.mark.parametrize("new", [None, Secret("")])
async def test_without_a_new_passphrase_it_is_not_moved_to_one(home: Path, new: Secret | None) -> None:
    async with opened(home, config("file")) as vault:
        before = image(home)
        with pytest.raises(KeyFailed, match="passphrase"):
            await vault.move("passphrase", None, new)
        assert image(home) == before


async def test_a_changed_passphrase_is_the_only_one(home: Path) -> None:
    async with opened(home, config("passphrase")) as vault:
        await vault.unlock(PHRASE)
        before = await furnished(vault)
        await vault.move("passphrase", PHRASE, NEW)
        await vault.lock()
        with pytest.raises(KeyFailed, match="not the one"):
            await vault.unlock(PHRASE)
        await vault.unlock(NEW)
        assert await whole(vault) == before


def test_every_source_says_where_its_key_lies(folder: Path) -> None:
    occasion = Occasion(folder, b"s" * 16)
    places = {keys.place(source, occasion) for source in (KeyFile(), Credential(), KeyStore(BACKEND))}
    assert places == {
        f"the key file {folder}/key",
        "the systemd credential",
        f"the entry {(b's' * 16).hex()} of the desktop key store",
    }
    assert keys.place(Passphrase.new(CHEAP), occasion) == "the passphrase of before"


async def test_who_hangs_up_behind_the_commit_finds_it_opened_by_the_new_passphrase(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the key changes with the store, and not when its caller hears of it."""
    async with opened(home, config("file")) as vault:
        await furnished(vault)
        with anyio.CancelScope() as scope:
            monkeypatch.setattr("aixtivd.vault.vault.log.info", lambda *_, **__: scope.cancel())  # right behind it
            await vault.move("passphrase", None, NEW)
        assert scope.cancelled_caught
        await vault.lock()
        await vault.unlock(NEW)
        assert not vault.locked


def _by_a_link(home: Path) -> Path:
    (home.parent / "linked").symlink_to(home)
    return home.parent / "linked" / "key"


def _by_the_folder_above(home: Path) -> Path:
    return home / ".." / home.name / "key"


def _a_second_name(home: Path) -> Path:
    (home / "second").hardlink_to(home / "key")
    return home / "second"


def _a_copy(home: Path) -> Path:
    shutil.copy2(home / "key", home / "copy")
    return home / "copy"


@pytest.mark.parametrize("spelled", [_by_a_link, _by_the_folder_above, _a_second_name, _a_copy])
async def test_the_present_key_is_no_other_one_by_whatever_path_it_is_named(
    home: Path, spelled: Callable[[Path], Path]
) -> None:
    """Else the answer would tell of an old key file to discard that is the only one."""
    async with opened(home, config("file")) as vault:
        await vault.journal.commit(row(1), None)
    async with opened(home, config("auto", key_file=str(spelled(home)))) as vault:
        with pytest.raises(KeyFailed, match=r"already|the key of now"):
            await vault.move("file")
        assert await vault.rows() == [row(1)]
    async with opened(home, config("auto")) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_path_to_the_present_key_that_is_gone_makes_no_new_one_there(home: Path) -> None:
    """Under either spelling it is one place: a new key there would be told to be the old one."""
    async with opened(home, config("file")) as vault:
        (home / "key").unlink()
        vault._config = config("auto", key_file=str(_by_the_folder_above(home)))
        with pytest.raises(KeyFailed, match="already"):
            await vault.move("file")
        assert not (home / "key").exists()
