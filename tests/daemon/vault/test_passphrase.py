"""The first passphrase makes the store; only that one opens it."""

from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed
from aixtivd.vault import keys
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import CHEAP, SENSIBLE, Cost, Passphrase
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock
from peers.disks import small_disk
from peers.rotated import furnished, meta_of, whole
from peers.vaults import image, names, opened, row

KEYSTORE = "peers.keystores.{}".format
STORE = b"s" * 16


async def test_the_first_passphrase_makes_the_store_and_later_only_that_one_opens_it(folder: Path) -> None:
    config = VaultConfig(key="passphrase")
    async with opened(folder, config) as vault:
        assert (vault.locked, vault.new, vault.lock_reason) == (True, True, "no passphrase has been chosen yet")
        assert vault.key_source == "passphrase"
        assert names(folder) == ["store.lock"]
        await vault.unlock(Secret("correct horse"))
        assert (vault.locked, vault.new) == (False, False)
        await vault.journal.commit(row(1), None)
    before = image(folder)
    async with opened(folder, config) as vault:
        assert (vault.locked, vault.new, vault.lock_reason) == (True, False, "it waits for its passphrase")
        for wrong, sentence in (
            (Secret("battery staple"), "that passphrase is not the one"),
            (Secret("correct horse "), "that passphrase is not the one"),
            (Secret(""), "an empty passphrase is refused"),
            (None, "the vault opens with its passphrase"),
        ):
            with pytest.raises(KeyFailed) as failure:
                await vault.unlock(wrong)
            assert (failure.value.sentence, failure.value.hint) == (sentence, "aixtiv unlock")
            assert (vault.locked, vault.lock_reason) == (True, "it waits for its passphrase")
        assert image(folder) == before
        await vault.unlock(Secret("correct horse"))
        assert await vault.rows() == [row(1)]


async def test_an_empty_first_passphrase_makes_nothing(folder: Path) -> None:
    async with opened(folder, VaultConfig(key="passphrase")) as vault:
        for nothing in (None, Secret("")):
            with pytest.raises(KeyFailed):
                await vault.unlock(nothing)
        assert vault.new
        assert names(folder) == ["store.lock"]


def test_a_passphrase_typed_on_another_system_is_the_same(folder: Path) -> None:
    source = Passphrase.new(CHEAP)
    composed, decomposed = Secret("caf\u00e9"), Secret("cafe\u0301")
    assert source.load(Occasion(folder, STORE, composed)) == source.load(Occasion(folder, STORE, decomposed))


def test_the_same_passphrase_gives_every_store_another_key(folder: Path) -> None:
    occasion = Occasion(folder, STORE, Secret("correct horse"))
    assert len({Passphrase.new(CHEAP).load(occasion) for _ in range(5)}) == 5


def test_the_parameters_are_rfc_9106s_and_stand_beside_the_wrapped_key(folder: Path) -> None:
    """Second recommended option of its section 4; a store keeps the ones that it was made with."""
    occasion = Occasion(folder, STORE, Secret("correct horse"))
    made = keys.choose(VaultConfig(key="passphrase"), occasion, SENSIBLE)
    assert isinstance(made.source, Passphrase)
    assert made.source.cost == Cost(iterations=3, memory=64 * 1024, lanes=4)
    assert keys.from_record(keys.recorded(made.source)) == made.source


def test_nothing_but_a_test_reaches_the_cheap_profile() -> None:
    sources = Path(keys.__file__).parents[2]
    users = [path.name for path in sources.rglob("*.py") if "CHEAP" in path.read_text()]
    assert users == ["passphrase.py"]


@pytest.mark.parametrize("cost", [Cost(17, 8, 1), Cost(1, 1024 * 1024 + 1, 1), Cost(1, 8, 17)])
def test_an_altered_store_cannot_make_us_work_for_ever(folder: Path, cost: Cost) -> None:
    with pytest.raises(KeyFailed, match="it was altered"):
        Passphrase(bytes(16), cost).load(Occasion(folder, STORE, Secret("correct horse")))


@pytest.mark.parametrize("source", [Passphrase(b"", CHEAP), Passphrase(bytes(16), Cost(0, 0, 0))])
def test_altered_parameters_are_a_sentence(folder: Path, source: Passphrase) -> None:
    with pytest.raises(KeyFailed, match="cannot be stretched"):
        source.load(Occasion(folder, STORE, Secret("correct horse")))


async def test_a_passphrase_for_a_store_that_wants_none_is_refused(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.lock()
        with pytest.raises(KeyFailed, match="comes from the file source, not from a passphrase"):
            await vault.unlock(Secret("correct horse"))


WEAK = Cost(iterations=2, memory=8, lanes=1)
STRONG = Cost(iterations=3, memory=16, lanes=1)


async def with_cost(folder: Path, cost: Cost) -> Vault:
    vault = Vault(folder, VaultConfig(key="passphrase"), FakeClock(), cost=cost)
    await vault.open()
    return vault


async def test_a_passphrase_that_was_stretched_with_less_is_stretched_anew_at_its_unlock(folder: Path) -> None:
    vault = await with_cost(folder, WEAK)
    await vault.unlock(Secret("correct horse"))
    before = await furnished(vault)
    await vault.aclose()
    weak = await meta_of(folder)
    vault = await with_cost(folder, STRONG)
    with pytest.raises(KeyFailed):
        await vault.unlock(Secret("wrong"))
    assert await meta_of(folder) == weak
    await vault.unlock(Secret("correct horse"))
    assert (await vault.check_key(Secret("correct horse"))).cost == str(STRONG)
    assert (folder / "store.db-wal").stat().st_size == 0, "what the weaker one opens is gone"
    assert weak.wrapped not in (folder / "store.db").read_bytes()
    await vault.lock()
    await vault.unlock(Secret("correct horse"))
    assert await whole(vault) == before
    await vault.aclose()
    vault = await with_cost(folder, WEAK)  # an older aixtiv takes nothing back
    await vault.unlock(Secret("correct horse"))
    assert (await vault.check_key()).cost == str(STRONG)
    assert await whole(vault) == before
    await vault.aclose()


async def test_on_a_full_disk_a_weaker_passphrase_opens_as_before_and_is_tried_again(folder: Path) -> None:
    with small_disk(folder) as disk:
        vault = await with_cost(disk.home, WEAK)
        await vault.unlock(Secret("correct horse"))
        await vault.journal.commit(row(1), None)
        await vault.aclose()
        vault = await with_cost(disk.home, STRONG)
        disk.fill()
        await vault.unlock(Secret("correct horse"))
        assert (await vault.rows(), (await vault.check_key()).cost) == ([row(1)], str(WEAK))
        await vault.lock()
        disk.make_room()
        await vault.unlock(Secret("correct horse"))
        assert (await vault.check_key(Secret("correct horse"))).cost == str(STRONG)
        await vault.aclose()


@pytest.mark.parametrize(
    ("cost", "other", "below"),
    [
        (SENSIBLE, SENSIBLE, False),
        (CHEAP, SENSIBLE, True),
        (Cost(1, 65536, 4), SENSIBLE, True),
        (Cost(10, 32768, 4), SENSIBLE, True),
        (Cost(1, 2 * 1024 * 1024, 4), SENSIBLE, False),  # RFC 9106's first recommended option
        (SENSIBLE, Cost(1, 2 * 1024 * 1024, 4), True),
        (Cost(3, 65536, 1), SENSIBLE, False),
    ],
)
def test_a_guess_costs_less_with_less_memory_or_less_work(cost: Cost, other: Cost, below: bool) -> None:
    assert cost.below(other) == below


def test_the_parameters_are_said_in_words() -> None:
    assert str(SENSIBLE) == "Argon2id, 64 MiB, iterations: 3, lanes: 4"
