"""Every key source keeps the same contract; and one is chosen once."""

import base64
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import anyio
import anyio.to_thread
import pytest
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault import keys
from aixtivd.vault.keys import keystore
from aixtivd.vault.keys.credential import Credential
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.keys.keystore import PATIENCE, KeyStore
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import CHEAP, Passphrase
from peers.keystores import Willing
from peers.vaults import credential, image, opened, row, vault_in

KEYSTORE = "peers.keystores.{}".format
STORE = b"s" * 16


class Case(Struct):
    """A source that works, and how to take its key away."""

    source: keys.KeySource
    occasion: Occasion
    take_away: Callable[[], object]


CASES: dict[str, type[keys.KeySource]] = {
    "file": KeyFile,
    "systemd": Credential,
    "keyring": KeyStore,
    "passphrase": Passphrase,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    occasion = Occasion(folder, STORE, Secret("correct horse"), KEYSTORE("Willing"))
    match request.param:
        case "file":
            return Case(KeyFile(), occasion, (folder / "key").unlink)
        case "systemd":
            return Case(Credential(), occasion, credential(folder, monkeypatch).unlink)
        case "keyring":
            return Case(KeyStore(KEYSTORE("Willing")), occasion, Willing.kept.clear)
        case _:
            lost = Occasion(folder, STORE)
            case = Case(Passphrase.new(CHEAP), occasion, lambda: setattr(case, "occasion", lost))
            return case


def test_the_contract_covers_every_source() -> None:
    assert set(CASES.values()) == set(get_args(keys.KeySource))
    assert {name: kind.name for name, kind in CASES.items()} == {name: name for name in CASES}
    configured = set(get_args(VaultConfig.__annotations__["key"])) - {"auto"}
    assert configured == set(CASES)


def test_a_key_that_was_made_is_loaded_again(case: Case) -> None:
    made = case.source.make(case.occasion)
    assert len(made) >= 32
    assert case.source.load(case.occasion) == made


def test_a_source_comes_back_from_its_record_and_finds_its_key(case: Case) -> None:
    made = case.source.make(case.occasion)
    text = keys.recorded(case.source)
    assert base64.b64encode(made).decode() not in text
    assert made.decode(errors="replace").strip() not in text
    again = keys.from_record(text)
    assert again == case.source
    assert again.load(case.occasion) == made


def test_a_key_that_is_gone_is_a_sentence_and_a_command(case: Case) -> None:
    case.source.make(case.occasion)
    case.take_away()
    with pytest.raises(KeyFailed) as failure:
        case.source.load(case.occasion)
    sentence, hint = failure.value.sentence, failure.value.hint
    assert sentence
    assert not sentence.endswith(".")
    assert sentence[0].islower()
    assert hint.split()[0] in {"aixtiv", "ls", "systemctl"}


async def test_a_store_opens_again_with_its_source_and_stays_locked_without(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = case.source.name
    config = VaultConfig(key=name, keyring_backend=KEYSTORE("Willing"))  # type: ignore[arg-type]  # one of the four
    phrase = case.occasion.passphrase if name == "passphrase" else None
    home = folder / "home"
    async with opened(home, config) as vault:
        await vault.unlock(phrase)
        await vault.journal.commit(row(1), None)
        assert (vault.key_source, vault.key_reason) == (name, f'the config says key = "{name}"')
    async with opened(home, VaultConfig(keyring_backend=KEYSTORE("Willing"))) as vault:  # whatever the config says now
        assert vault.locked == (name == "passphrase")
        await vault.unlock(phrase)
        assert await vault.rows() == [row(1)]
    if name == "file":
        (home / "key").unlink()
    elif name != "passphrase":
        case.take_away()
    before = image(home)
    async with opened(home, VaultConfig(keyring_backend=KEYSTORE("Willing"))) as vault:
        with pytest.raises(KeyFailed):
            await vault.unlock()
        assert (vault.locked, vault.key_source) == (True, name)
    assert image(home) == before


@pytest.mark.parametrize("configured", ["passphrase", "keyring", "systemd"])
async def test_a_store_put_in_the_place_of_one_with_another_source_stays_locked(folder: Path, configured: str) -> None:
    """Else whoever exchanges store and key file together decides what the vault opens with."""
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
    before = image(folder)
    config = VaultConfig(key=configured)  # type: ignore[arg-type]  # one of the three
    sentence = (
        f'the config says vault.key = "{configured}", but the key of this store comes from the file source; if it is'
        ' yours, set vault.key to "file" or "auto"'
    )
    async with opened(folder, config) as vault:
        assert (vault.locked, vault.lock_reason) == (True, sentence)
        with pytest.raises(KeyFailed) as failure:
            await vault.unlock()
        assert failure.value.sentence == sentence
    assert image(folder) == before
    async with opened(folder, VaultConfig(key="auto")) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_store_put_where_the_first_passphrase_is_waited_for_stays_locked(folder: Path) -> None:
    async with opened(folder / "theirs") as vault:
        await vault.journal.commit(row(1), None)
    async with opened(folder / "mine", VaultConfig(key="passphrase")) as vault:
        for name in ("store.db", "key"):
            shutil.copy2(folder / "theirs" / name, folder / "mine" / name)
        with pytest.raises(KeyFailed, match="but the key of this store comes from the file source"):
            await vault.unlock(Secret("correct horse"))
        assert vault.locked


def test_no_repr_shows_a_key(case: Case, folder: Path) -> None:
    chosen = keys.Chosen(case.source, "a reason", b"the very key material of this store")
    for shown in (repr(chosen), str(chosen.__rich_repr__()), repr(case.occasion)):
        assert "very key" not in shown
        assert "horse" not in shown


@pytest.mark.parametrize(
    ("mood", "given", "source", "reason"),
    [
        ("Willing", True, "systemd", "auto: systemd handed over a credential"),
        ("Willing", False, "keyring", "auto: no systemd credential; the desktop key store answered"),
        ("Locked", False, "file", "auto: no systemd credential; the desktop key store is locked"),
        (
            "Hanging",
            False,
            "file",
            (
                "auto: no systemd credential; the desktop key store did not answer within 0.1 seconds; it may be"
                " waiting for a person"
            ),
        ),
    ],
)
async def test_auto_takes_the_first_source_at_hand(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mood: str, given: bool, source: str, reason: str
) -> None:
    if given:
        credential(folder, monkeypatch)
    monkeypatch.setattr(keystore, "PATIENCE", 0.1 if mood == "Hanging" else PATIENCE)
    async with opened(folder / "home", VaultConfig(keyring_backend=KEYSTORE(mood))) as vault:
        assert (vault.locked, vault.key_source, vault.key_reason) == (False, source, reason)
        assert await vault.journal.commit(row(1), None)
    assert (folder / "home" / "key").exists() == (source == "file")


async def test_auto_without_a_desktop_makes_a_key_file(folder: Path) -> None:
    """The real backend, on a machine where no session bus is named."""
    async with opened(folder, VaultConfig()) as vault:
        assert vault.key_source == "file"
        assert "there is no desktop key store here" in vault.key_reason


@pytest.mark.parametrize("mood", ["Hanging", "Locked", "Absent"])
async def test_once_chosen_it_is_that_source_or_locked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    """Though a credential and a key file are at hand."""
    config = VaultConfig(key="keyring", keyring_backend=KEYSTORE("Willing"))
    async with opened(folder, config) as vault:
        await vault.journal.commit(row(1), None)
    credential(folder, monkeypatch)
    await anyio.to_thread.run_sync(KeyFile().make, Occasion(folder, STORE))
    monkeypatch.setattr(keystore, "PATIENCE", 0.1)
    before = image(folder)
    from peers import keystores

    willing = {name: getattr(Willing, name) for name in ("get_password", "set_password")}
    for name in willing:
        monkeypatch.setattr(Willing, name, getattr(getattr(keystores, mood), name))
    async with opened(folder, VaultConfig(keyring_backend=KEYSTORE("Willing"))) as vault:
        assert (vault.locked, vault.key_source) == (True, "keyring")
        assert "desktop key store" in vault.lock_reason
        assert image(folder) == before
        for name, method in willing.items():
            monkeypatch.setattr(Willing, name, method)
        await vault.unlock()  # the person unlocked the key store
        assert await vault.rows() == [row(1)]
    assert vault_in(folder).locked
