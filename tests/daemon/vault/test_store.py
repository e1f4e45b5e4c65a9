"""The SQLite file: whole or not at all, examined without a trace, transactions that nothing cuts."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.errors import StoreFailed
from aixtivd.vault import store
from aixtivd.vault.store import Meta, Store
from peers.vaults import crashed, image, opened, row, vault_in

META = Meta(b"s" * 16, '{"source":"file"}', "a reason", b"wrapped")


def make_if_missing(path: Path) -> None:
    if not path.exists():
        store.create(path, META)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    await anyio.to_thread.run_sync(make_if_missing, path)
    opened_ = await Store.open(path, lambda _: None)
    try:
        yield opened_
    finally:
        await opened_.close()


def put(db: sqlite3.Connection, number: int) -> None:
    db.execute("INSERT INTO records VALUES (?, ?, ?)", (bytes([number]), number, b""))


def numbers(db: sqlite3.Connection) -> list[int]:
    return [number for (number,) in db.execute("SELECT generation FROM records ORDER BY generation")]


async def test_the_settings_of_a_durable_store_are_on(folder: Path) -> None:
    async with open_store(folder / "store.db") as made:

        def settings(db: sqlite3.Connection) -> dict[str, object]:
            names = (
                "journal_mode",
                "synchronous",
                "secure_delete",
                "locking_mode",
                "fullfsync",
                "checkpoint_fullfsync",
            )
            return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

        assert await made.transact(settings) == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "secure_delete": 1,
            "locking_mode": "exclusive",
            "fullfsync": 1,
            "checkpoint_fullfsync": 1,
        }


def test_a_store_says_what_was_made(folder: Path) -> None:
    path = folder / "store.db"
    store.create(path, META)
    assert store.examine(path) == META
    assert [found.name for found in folder.iterdir()] == ["store.db"]


def test_what_a_crashed_maker_left_is_in_nobodys_way(folder: Path) -> None:
    (folder / "store.db.new").write_bytes(b"half a store")
    store.create(folder / "store.db", META)
    assert store.examine(folder / "store.db") == META


class Boom(Exception):
    """Something goes wrong in the middle."""


@pytest.mark.parametrize("wrong", [Boom, KeyboardInterrupt, sqlite3.OperationalError])
async def test_a_failed_transaction_leaves_nothing_and_a_usable_store(folder: Path, wrong: type[BaseException]) -> None:
    async with open_store(folder / "store.db") as made:

        def fails(db: sqlite3.Connection) -> None:
            with store.transaction(db):
                put(db, 1)
                raise wrong

        with pytest.raises(StoreFailed if wrong is sqlite3.OperationalError else wrong):
            await made.transact(fails)

        def works(db: sqlite3.Connection) -> list[int]:
            with store.transaction(db):
                put(db, 2)
            return numbers(db)

        assert await made.transact(works) == [2]


class Gate:
    """Work that stops in the middle of its transaction until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def work(self, number: int) -> Callable[[sqlite3.Connection], None]:
        def stop_in_the_middle(db: sqlite3.Connection) -> None:
            with store.transaction(db):
                put(db, number)
                self.reached.set()
                assert self.open.wait(20)
                put(db, number + 1)

        return stop_in_the_middle

    async def wait_reached(self) -> None:
        assert await anyio.to_thread.run_sync(self.reached.wait, 20)


@pytest.mark.parametrize("how", ["anyio", "asyncio"])
async def test_a_cancelled_caller_cuts_no_transaction(folder: Path, how: str) -> None:
    async with open_store(folder / "store.db") as made:
        gate = Gate()
        if how == "asyncio":
            task = asyncio.create_task(made.transact(gate.work(1)))
            await gate.wait_reached()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(made.transact, gate.work(1))
                await gate.wait_reached()
                tasks.cancel_scope.cancel()
        later = asyncio.create_task(made.transact(numbers))
        gate.open.set()
        assert await later == [1, 2]


async def test_a_queued_piece_of_work_is_done_though_its_caller_has_gone(folder: Path) -> None:
    async with open_store(folder / "store.db") as made:
        gate = Gate()
        first = asyncio.create_task(made.transact(gate.work(1)))
        await gate.wait_reached()
        second = asyncio.create_task(made.transact(lambda db: put(db, 7)))
        await asyncio.sleep(0)  # it is queued now
        second.cancel()
        gate.open.set()
        await first
        assert await made.transact(numbers) == [1, 2, 7]


@pytest.mark.parametrize("how", ["connect", "prepare", "first", "cancelled"])
async def test_a_store_that_fails_to_open_leaves_no_thread(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = folder / "store.db"
    await anyio.to_thread.run_sync(make_if_missing, path)
    before = set(threading.enumerate())
    gate = Gate()
    if how == "connect":
        monkeypatch.setattr(store, "_connect", lambda *_: sqlite3.connect(folder / "no" / "such" / "folder"))
    if how == "prepare":
        monkeypatch.setattr(store, "_PRAGMAS", ("nonsense = (",))

    def first(db: sqlite3.Connection) -> None:
        gate.reached.set()
        if how == "first":
            raise sqlite3.OperationalError
        assert gate.open.wait(20)

    opening = asyncio.create_task(Store.open(path, first))
    if how == "cancelled":
        await gate.wait_reached()
        opening.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
    else:
        with pytest.raises(StoreFailed):
            await opening
    left = set(threading.enumerate()) - before
    assert [thread.name for thread in left if "AnyIO" not in thread.name] == []
    monkeypatch.undo()
    async with open_store(path) as made:
        assert await made.transact(numbers) == []


async def test_no_other_task_gets_between_begin_and_commit(folder: Path) -> None:
    """Two tasks that shared a connection step by step would roll back each other's rows."""
    async with open_store(folder / "store.db") as made:

        async def write(number: int) -> None:
            def work(db: sqlite3.Connection) -> None:
                with store.transaction(db):
                    put(db, number)
                    if number % 3 == 0:
                        raise Boom

            try:
                await made.transact(work)
            except Boom:
                assert number % 3 == 0

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(write, number)
        assert await made.transact(numbers) == [number for number in range(60) if number % 3]


async def test_closing_finishes_what_is_queued(folder: Path) -> None:
    path = folder / "store.db"
    async with open_store(path) as made:
        gate = Gate()
        first = asyncio.create_task(made.transact(gate.work(1)))
        await gate.wait_reached()
        second = asyncio.create_task(made.transact(lambda db: put(db, 7)))
        closing_ = asyncio.create_task(made.close())
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, second, closing_)
    async with open_store(path) as again:
        assert await again.transact(numbers) == [1, 2, 7]


def test_each_migration_is_one_transaction_that_counts(folder: Path) -> None:
    first = ("CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")
    broken = ("CREATE TABLE b (x)", "INSERT INTO nowhere VALUES (1)")
    with closing(sqlite3.connect(folder / "any.db", isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError):
            store.migrate(db, (first, broken))
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        assert (tables, db.execute("PRAGMA user_version").fetchone()) == (["a"], (1,))
        store.migrate(db, (first, ("CREATE TABLE b (x)",), ("DROP TABLE a",)))
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        assert (tables, db.execute("PRAGMA user_version").fetchone()) == (["b"], (3,))


async def test_an_older_format_is_brought_up_to_date_and_says_so_in_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "store.db"
    await anyio.to_thread.run_sync(store.create, path, META)
    monkeypatch.setattr(store, "MIGRATIONS", (*store.MIGRATIONS, ("CREATE TABLE newer (x)",)))
    async with open_store(path):
        assert int.from_bytes(path.read_bytes()[60:64], "big") == len(store.MIGRATIONS)  # user_version's place
    assert await anyio.to_thread.run_sync(store.examine, path) == META


async def test_a_newer_format_is_refused_even_where_only_the_wal_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as vault:
        await vault._opened.store.transact(lambda db: db.execute("PRAGMA user_version = 9"))  # type: ignore[union-attr]  # it is open
        copy = crashed(folder)
    before = image(copy)
    with pytest.raises(StoreFailed) as failure:
        await vault_in(copy).open()
    known = len(store.MIGRATIONS)
    assert failure.value.sentence == (
        f"the store {copy}/store.db has format 9, made by a newer aixtiv; this one knows formats up to {known}"
    )
    assert image(copy) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "{} is not an aixtiv store"),
        (b"what is this? " * 100, "{} is not an aixtiv store"),
        (b"SQLite format 3\0" + bytes(4080), "{} is not an aixtiv store"),
    ],
)
async def test_a_file_that_is_no_store_is_refused(folder: Path, content: bytes, sentence: str) -> None:
    path = folder / "store.db"
    path.touch(0o600)
    path.write_bytes(content)
    before = image(folder)
    with pytest.raises(StoreFailed) as failure:
        await vault_in(folder).open()
    assert failure.value.sentence == sentence.format(path)
    assert image(folder) == before


async def test_another_programs_database_is_refused(folder: Path) -> None:
    path = folder / "store.db"
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE meta (x)")
    before = image(folder)
    with pytest.raises(StoreFailed, match="is not an aixtiv store"):
        await vault_in(folder).open()
    assert image(folder) == before


async def test_a_store_without_its_meta_is_refused(folder: Path) -> None:
    await anyio.to_thread.run_sync(store.create, folder / "store.db", META)
    with closing(sqlite3.connect(folder / "store.db")) as db:
        db.execute("DELETE FROM meta")
        db.commit()
    before = image(folder)
    with pytest.raises(StoreFailed, match="does not say which key"):
        await vault_in(folder).open()
    assert image(folder) == before


async def test_a_store_that_another_program_has_open_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **(k | {"timeout": 0.01})))
    async with opened(folder):
        pass
    with closing(real(folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM probe")
        with pytest.raises(StoreFailed) as failure:
            await vault_in(folder).open()
    assert failure.value.sentence == f"another program has the store {folder}/store.db open"
    assert failure.value.hint == f"fuser {folder}/store.db"


@pytest.mark.parametrize(
    ("code", "sentence", "hint"),
    [
        (sqlite3.SQLITE_FULL, "the disk that holds /s/a b.db is full", "df -h /s"),
        (sqlite3.SQLITE_IOERR, "the disk that holds /s/a b.db fails (input/output error)", "dmesg | tail"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk that holds /s/a b.db fails (input/output error)", "dmesg | tail"),
        (sqlite3.SQLITE_READONLY, "the store /s/a b.db cannot be written", "ls -l '/s/a b.db'"),
        (sqlite3.SQLITE_CANTOPEN, "the store /s/a b.db cannot be opened", "ls -l '/s/a b.db'"),
        (sqlite3.SQLITE_BUSY, "another program has the store /s/a b.db open", "fuser '/s/a b.db'"),
        (sqlite3.SQLITE_CORRUPT, "the store /s/a b.db is damaged", "sqlite3 '/s/a b.db' .recover"),
        (sqlite3.SQLITE_ERROR, "the store /s/a b.db cannot be used (OperationalError)", "ls -l '/s/a b.db'"),
    ],
)
def test_each_failure_of_the_store_has_its_sentence_and_command(code: int, sentence: str, hint: str) -> None:
    error = sqlite3.OperationalError("some text that must not be shown")
    error.sqlite_errorcode = code
    failure = store.failed(Path("/s/a b.db"), error)
    assert (failure.sentence, failure.hint) == (sentence, hint)


async def test_a_crash_loses_nothing_that_was_committed(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
        await vault.journal.commit(row(2), None)
        copy = crashed(folder)
    async with opened(copy) as again:
        assert sorted(found.id for found in await again.rows()) == sorted([row(1).id, row(2).id])
