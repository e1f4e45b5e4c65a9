"""Somebody who may write the files, but has not the key: whatever they do is seen, and nothing is lost to it."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.vault.intents import DOUBT
from peers.vaults import crashed, image, inside, opened, row, vault_in

TOKEN = Secret("refresh-token-Zq81kfPw")
ONE, TWO = row(1).id, row(2).id


async def three_rows(folder: Path) -> None:
    """Rows 1 and 2, each with an earlier generation kept and an intent open; row 3 to be left alone."""
    async with opened(folder) as vault:
        for number in (1, 2):
            await vault.journal.commit(row(number, 1), None)
            await vault.journal.commit(row(number, 2, b"payload %d" % number), row(number, 1))
            await vault.journal.begin(row(number).id, 2, TOKEN)
        await vault.journal.commit(row(3), None)


def flipped(value: bytes, at: int) -> bytes:
    altered = bytearray(value)
    altered[at] ^= 1
    return bytes(altered)


def flip(table: str, at: int) -> Callable[[sqlite3.Connection], None]:
    def work(db: sqlite3.Connection) -> None:
        (sealed,) = db.execute(f"SELECT sealed FROM {table} WHERE id = ?", (ONE,)).fetchone()
        db.execute(f"UPDATE {table} SET sealed = ? WHERE id = ?", (flipped(sealed, at), ONE))

    return work


def run(*statements: str) -> Callable[[sqlite3.Connection], None]:
    def work(db: sqlite3.Connection) -> None:
        names = {"one": ONE, "two": TWO, "other": os.urandom(16)}
        for statement in statements:
            db.execute(statement, names)

    return work


def swap(db: sqlite3.Connection) -> None:
    sealed = dict(db.execute("SELECT id, sealed FROM records"))
    for here, there in ((ONE, TWO), (TWO, ONE)):
        db.execute("UPDATE records SET sealed = ? WHERE id = ?", (sealed[there], here))


VANDALISM: dict[str, tuple[Callable[[sqlite3.Connection], None], set[bytes]]] = {
    "the nonce altered": (flip("records", 0), {ONE}),
    "the text altered": (flip("records", 14), {ONE}),
    "the tag altered": (flip("records", -1), {ONE}),
    "cut short": (run("UPDATE records SET sealed = substr(sealed, 1, 20) WHERE id = :one"), {ONE}),
    "emptied": (run("UPDATE records SET sealed = x'' WHERE id = :one"), {ONE}),
    "made text": (run("UPDATE records SET sealed = 'sealed' WHERE id = :one"), {ONE}),
    "made text that is none": (run("UPDATE records SET sealed = CAST(sealed AS TEXT) WHERE id = :one"), {ONE}),
    "two seals swapped": (swap, {ONE, TWO}),
    "two ids swapped": (
        run(
            "UPDATE records SET id = :other WHERE id = :one",
            "UPDATE records SET id = :one WHERE id = :two",
            "UPDATE records SET id = :two WHERE id = :other",
        ),
        {ONE, TWO},
    ),
    "an id changed": (run("UPDATE records SET id = :other WHERE id = :one"), {ONE}),
    "an id made text": (run("UPDATE records SET id = 'one' WHERE id = :one"), {ONE}),
    "a row copied under another id": (
        run("INSERT INTO records SELECT :other, generation, sealed FROM records WHERE id = :one"),
        set(),
    ),
    "the generation raised": (run("UPDATE records SET generation = 3 WHERE id = :one"), {ONE}),
    "the generation lowered": (run("UPDATE records SET generation = 1 WHERE id = :one"), {ONE}),
    "the generation made negative": (run("UPDATE records SET generation = -2 WHERE id = :one"), {ONE}),
    "the generation made text": (run("UPDATE records SET generation = 'two' WHERE id = :one"), {ONE}),
    "an earlier row put back with its generation": (
        run("UPDATE records SET generation = 1, sealed = (SELECT sealed FROM kept WHERE id = :one) WHERE id = :one"),
        {ONE},
    ),
    "an earlier row put back under the new generation": (
        run("UPDATE records SET sealed = (SELECT sealed FROM kept WHERE id = :one) WHERE id = :one"),
        {ONE},
    ),
    "an intent put in a row's place": (
        run("UPDATE records SET sealed = (SELECT sealed FROM intents WHERE id = :one) WHERE id = :one"),
        {ONE},
    ),
}


@pytest.mark.parametrize("name", VANDALISM)
async def test_an_altered_row_is_refused_the_others_are_served_and_nothing_changes(folder: Path, name: str) -> None:
    vandalise, lost = VANDALISM[name]
    await three_rows(folder)
    with inside(folder) as db:
        vandalise(db)
    before = image(folder)
    async with opened(folder) as vault:
        assert not vault.locked
        assert {found.id for found in await vault.rows()} == {ONE, TWO, row(3).id} - lost
        away = {"an id changed", "an id made text"}  # there is one that should not be, and one is missing
        assert vault.damaged == (2 if name in away else max(1, len(lost)))
        await vault.journal.intents()
        await vault.journal.kept(ONE)
    assert image(folder) == before


@pytest.mark.parametrize("at", [0, 14, -1])
async def test_an_altered_earlier_generation_is_not_given_out(folder: Path, at: int) -> None:
    await three_rows(folder)
    with inside(folder) as db:
        flip("kept", at)(db)
    async with opened(folder) as vault:
        assert await vault.journal.kept(ONE) == []
        assert await vault.journal.kept(TWO) == [row(2, 1)]


@pytest.mark.parametrize(
    "vandalise",
    [
        flip("intents", 0),
        flip("intents", 14),
        flip("intents", -1),
        run("UPDATE intents SET sealed = (SELECT sealed FROM intents WHERE id = :two) WHERE id = :one"),
        run("UPDATE intents SET sealed = 'attempts: 0' WHERE id = :one"),
        run("UPDATE intents SET sealed = (SELECT sealed FROM records WHERE id = :one) WHERE id = :one"),
    ],
)
async def test_an_altered_intent_counts_as_in_doubt(
    folder: Path, vandalise: Callable[[sqlite3.Connection], None]
) -> None:
    """Whoever wipes out attempts cannot make aixtiv spend a token once more."""
    await three_rows(folder)
    with inside(folder) as db:
        vandalise(db)
    async with opened(folder) as vault:
        assert {intent.id: intent.attempts for intent in await vault.journal.intents()} == {ONE: DOUBT, TWO: 1}
        assert (await vault.journal.begin(ONE, 2, TOKEN)).attempts == DOUBT + 1


async def test_an_intent_with_nonsense_for_a_place_counts_as_in_doubt(folder: Path) -> None:
    await three_rows(folder)
    with inside(folder) as db:
        run("UPDATE intents SET generation = 'two' WHERE id = :one", "UPDATE intents SET id = 'x' WHERE id = :two")(db)
    async with opened(folder) as vault:
        assert {intent.id: intent.attempts for intent in await vault.journal.intents()} == {ONE: DOUBT, TWO: DOUBT}
        assert len(await vault.rows()) == 3


async def test_a_row_damaged_after_it_was_read_does_not_lose_its_successor(folder: Path) -> None:
    """The pair in memory is good; the answer of a refresh must not be dropped over a bad block."""
    await three_rows(folder)
    async with opened(folder) as vault:
        (mine,) = [found for found in await vault.rows() if found.id == ONE]
        await vault.journal.begin(ONE, 2, TOKEN)
        await vault._opened.store.transact(flip("records", 14))  # type: ignore[union-attr]  # it is open
        assert await vault.journal.commit(row(1, 3, b"new"), mine)
        assert row(1, 3, b"new") in await vault.rows()
        assert await vault.journal.kept(ONE) == [mine, row(1, 1)]


META_VANDALISM = {
    "the wrapped key altered": "UPDATE meta SET wrapped = CAST(x'0000' || substr(wrapped, 3) AS BLOB)",
    "the wrapped key cut short": "UPDATE meta SET wrapped = substr(wrapped, 1, 8)",
    "another store's id": "UPDATE meta SET store = randomblob(16)",
    "another source's settings": """UPDATE meta SET source = '{"source":"file","path":"' || :path || '/key"}'""",
}


@pytest.mark.parametrize("name", META_VANDALISM)
async def test_an_altered_wrapping_leaves_the_vault_locked_and_everything_as_it_was(folder: Path, name: str) -> None:
    await three_rows(folder)
    with inside(folder) as db:
        statement = META_VANDALISM[name]
        db.execute(statement, {"path": str(folder)} if ":path" in statement else {})
    before = image(folder)
    async with opened(folder) as vault:
        assert vault.locked
        assert "does not open this store" in vault.lock_reason
    assert image(folder) == before


@pytest.mark.parametrize("source", ['{"source":"tpm"}', '{"source":"file","path":7}', "", "not JSON"])
async def test_an_unknown_key_source_leaves_the_vault_locked(folder: Path, source: str) -> None:
    await three_rows(folder)
    with inside(folder) as db:
        db.execute("UPDATE meta SET source = ?", (source,))
    before = image(folder)
    async with opened(folder) as vault:
        assert vault.locked
        assert vault.lock_reason == "the store names a key source that this aixtiv does not know"
        assert vault.key_source == "unknown"
    assert image(folder) == before


@pytest.mark.parametrize("hot", [False, True], ids=["closed", "crashed"])
async def test_a_wrong_key_changes_nothing_not_even_the_wal_of_a_crash(folder: Path, hot: bool) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        home = crashed(folder)
    home = home if hot else folder
    good = (home / "key").read_bytes()
    (home / "key").write_bytes(b"0" * 64)
    before = image(home)
    assert ("store.db-wal" in before) == hot
    wrong = vault_in(home)
    await wrong.open()
    assert wrong.locked
    assert wrong.lock_reason == (
        "the key from the file source does not open this store: it is another store's key, or the store was altered"
    )
    await wrong.aclose()
    assert image(home) == before
    (home / "key").write_bytes(good)
    async with opened(home) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_torn_page_in_the_file_is_a_sentence_and_changes_nothing(folder: Path) -> None:
    await three_rows(folder)
    path = folder / "store.db"
    content = bytearray(path.read_bytes())
    content[100:2000] = os.urandom(1900)  # the schema
    path.write_bytes(content)
    before = image(folder)
    vault = vault_in(folder)
    with pytest.raises(Exception, match=f"the store {path} is damaged"):
        await vault.open()
    assert image(folder) == before
