"""The SQLite file: made whole or not at all, examined without a trace, written in indivisible transactions."""

import os
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import aiosqlite
import anyio
import anyio.to_thread
from msgspec import Struct

from aixtivd.errors import StoreFailed
from aixtivd.vault import folder

T = TypeVar("T")

APPLICATION_ID: Final = int.from_bytes(b"aixt", "big")

_HEAD: Final = 100  # bytes of a store's header

# Each is one transaction that ends with its number in user_version. A new one goes at the end; none is ever edited.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL,
           source TEXT NOT NULL, reason TEXT NOT NULL, wrapped BLOB NOT NULL)""",
        "CREATE TABLE records (id BLOB PRIMARY KEY, generation INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID",
        """CREATE TABLE kept (id BLOB NOT NULL, generation INTEGER NOT NULL, sealed BLOB NOT NULL,
           until REAL NOT NULL, PRIMARY KEY (id, generation)) WITHOUT ROWID""",
        "CREATE TABLE intents (id BLOB PRIMARY KEY, generation INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE manifest (part INTEGER PRIMARY KEY, number INTEGER NOT NULL, sealed BLOB NOT NULL)",
        "CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), filler BLOB NOT NULL)",
    ),
    ("CREATE TABLE notes (id BLOB PRIMARY KEY, generation INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID",),
    (),  # what is wrapped may be more than a bare data key: an older aixtiv says that it is too old, and tries nothing
)

# EXCLUSIVE: we are the only one anyway, and the WAL's index then lives in memory, so that a full disk cannot hurt it.
_PRAGMAS: Final = (
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",  # macOS only; elsewhere without effect
    "checkpoint_fullfsync = ON",
    "secure_delete = ON",
    "trusted_schema = OFF",
)


class Meta(Struct, frozen=True):
    """What a store says of itself in the clear. Nothing here opens anything."""

    store: bytes  # 16 random bytes
    source: str  # the key source with its settings, as JSON
    reason: str  # why that source, a sentence
    wrapped: bytes  # the data key, under the key source's key


class Unwritten(sqlite3.DatabaseError):
    """SQLite took a statement and did not do it."""


def expect_written(done: sqlite3.Cursor) -> None:
    """Raises Unwritten unless exactly one row was written: a trigger can make SQLite pass over a statement unsaid."""
    if done.rowcount != 1:
        raise Unwritten


def create(path: Path, meta: Meta, begin: Callable[[sqlite3.Connection], None] = lambda _: None) -> None:
    """Makes a store, complete under another name and then renamed, so that a crash leaves none or a whole one.

    `begin` writes what it holds from the start. Blocking. Raises StoreFailed, and then nothing is there.
    """
    half_made = path.with_name(path.name + ".new")
    try:
        os.close(folder.make_private(half_made))
        with closing(_connect(half_made, "mode=rw")) as db:
            db.execute("PRAGMA journal_mode = MEMORY")
            migrate(db, MIGRATIONS)
            db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?)", (meta.store, meta.source, meta.reason, meta.wrapped))
            begin(db)
            for pragma in _PRAGMAS:
                db.execute(f"PRAGMA {pragma}")  # leaves the file marked as WAL
        _sync_whole(half_made)
        folder.settle(half_made, path)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            half_made.unlink(missing_ok=True)
        raise failed(path, error) from None


def _sync_whole(path: Path) -> None:
    held = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        folder.sync(held)
    finally:
        os.close(held)


def examine(path: Path) -> Meta:
    """Reads what a store says of itself and changes no byte, not even by recovering its WAL. Blocking.

    Raises StoreFailed: not a store of ours, of a newer format, damaged.
    """
    try:
        with closing(_connect(path, _traceless(path))) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared index file is made for the WAL
            _check_format(db, path)
            meta = read_meta(db)
    except sqlite3.Error as error:
        raise failed(path, error) from None
    if meta is None:
        raise StoreFailed(f"the store {path} is damaged: it does not say which key it belongs to")
    return meta


def read_meta(db: sqlite3.Connection) -> Meta | None:
    """None: it is damaged."""
    match db.execute("SELECT store, source, reason, wrapped FROM meta").fetchone():
        case (bytes() as store, str() as source, str() as reason, bytes() as wrapped):
            return Meta(store, source, reason, wrapped)
        case _:
            return None


def put_meta(db: sqlite3.Connection, meta: Meta) -> None:
    """In the place of what the store says of itself; part of a transaction."""
    values = (meta.store, meta.source, meta.reason, meta.wrapped)
    expect_written(db.execute("INSERT OR REPLACE INTO meta VALUES (1, ?, ?, ?, ?)", values))


def remove(db: sqlite3.Connection, table: str, id_: bytes) -> None:
    """Raises Unwritten if it is there yet."""
    db.execute(f"DELETE FROM {table} WHERE id = ?", (id_,))  # noqa: S608  # a name of ours
    if db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id_,)).fetchone():  # noqa: S608  # as above
        raise Unwritten


def fold(db: sqlite3.Connection) -> None:
    """Writes the WAL into the store and empties it: it holds what was there before. Raises sqlite3.Error."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:  # a reader that nobody but us could be
        raise sqlite3.OperationalError("the WAL is in use")


def named(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _traceless(path: Path) -> str:
    """How to open without a trace.

    A WAL left by a crash has to be read along: then a VFS without locks, whose read-only descriptor cannot checkpoint
    (the folder's lock keeps others out). Else `immutable`, which reads the file alone.
    """
    return "mode=ro&vfs=unix-none" if hot(path) else "mode=ro&immutable=1"


def hot(path: Path) -> bool:
    """Whether a crash left a WAL with something in it."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def check_known(path: Path) -> None:
    """By the first bytes of the file alone, while another process has it open; there need not be one. Blocking.

    Raises StoreFailed: not a store of ours, of a newer format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise failed(path, error) from None
    # "Database Header Format" in SQLite's file format: both are big-endian, and never only in the WAL for long.
    _check_version(path, int.from_bytes(head[68:72], "big"), int.from_bytes(head[60:64], "big"))


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    _check_version(path, application, version)
    if strange := _schema(db) ^ _made_schema(MIGRATIONS[:version]):
        kind, name, _ = min(strange, key=repr)
        raise StoreFailed(
            f"the store {path} was altered: its {kind} {name} is not as aixtiv makes it",
            hint=f"sqlite3 {shlex.quote(str(path))} .schema",
        )


def _check_version(path: Path, application: int, version: int) -> None:
    if application != APPLICATION_ID or version < 1:
        raise StoreFailed(f"{path} is not an aixtiv store", hint=f"file {shlex.quote(str(path))}")
    if version > len(MIGRATIONS):
        raise StoreFailed(
            f"the store {path} has format {version}, made by a newer aixtiv; this one knows formats up to"
            f" {len(MIGRATIONS)}",
            hint="pip install --upgrade aixtiv",
        )


def _schema(db: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    """Every table, index, trigger and view. SQLite carries out what they say without asking us."""
    return frozenset(db.execute("SELECT type, name, tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema"))


@cache
def _made_schema(migrations: tuple[tuple[str, ...], ...]) -> frozenset[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, migrations)
        return _schema(db)


def migrate(db: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...]) -> None:
    """Brings a store up to date, each step one transaction."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(migrations[version:], version + 1):
        with transaction(db):
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE to COMMIT. Whatever goes wrong, nothing was written and the connection is usable."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite rolls back by itself where the disk is full
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


class _Line(aiosqlite.Connection):
    """aiosqlite's connection, which also carries out a whole piece of work on its thread in one go.

    Its own methods are a step each: between two of them another task's step gets in, and a cancelled caller leaves a
    transaction open. A piece of work is one entry of the thread's queue: it cannot be entered, and once queued it runs
    to its end whoever stops waiting for it.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a defect that leaves a store unclosed must not keep the process from ending

    async def carry_out(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite's own way in
        return result

    async def end(self) -> None:
        """Closes, however far it was opened. Afterwards the thread has nothing more to say to an event loop."""
        with anyio.CancelScope(shield=True):
            with suppress(sqlite3.Error):
                await self.close()
            await anyio.to_thread.run_sync(self._thread.join)


class Store:
    """An open store. Everything is done by `transact`, one piece of work after the other."""

    def __init__(self, path: Path, line: _Line) -> None:
        self.path = path
        self._line = line

    @classmethod
    async def open(cls, path: Path, first: Callable[[sqlite3.Connection], None]) -> "Store":
        """Opens for writing, migrates, and does `first`. Raises StoreFailed."""
        line = _Line(lambda: _connect(path, "mode=rw"))  # that mode never makes a file
        try:
            await line
            await line.carry_out(lambda db: _prepare(db, path))
            await line.carry_out(first)
        except sqlite3.Error as error:
            await line.end()
            raise failed(path, error) from None
        except BaseException:
            await line.end()
            raise
        return cls(path, line)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on the store's thread: whole, in order, and to its end even if the caller is cancelled.

        Raises what `work` raises, SQLite's errors as StoreFailed.
        """
        try:
            return await self._line.carry_out(work)
        except sqlite3.Error as error:
            raise failed(self.path, error) from None

    async def close(self) -> None:
        """After everything that is queued. Leaves one file: the WAL is folded in."""
        try:
            await self._line.close()
        except sqlite3.Error as error:
            raise failed(self.path, error) from None


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """The format is looked at again: the store may have waited long for its passphrase."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    _check_format(db, path)
    for pragma in _PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version < len(MIGRATIONS):
        migrate(db, MIGRATIONS)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None)
    db.text_factory = lambda text: text.decode(errors="replace")  # one row of nonsense must not hide the others
    return db


# Of SQLite's primary result codes: the sentence, and the next command ({file} and {folder} as a shell wants them).
_WORDS: Final = {
    sqlite3.SQLITE_FULL: ("the disk that holds {path} is full", "df -h {folder}"),
    sqlite3.SQLITE_READONLY: ("the store {path} cannot be written", "ls -l {file}"),
    sqlite3.SQLITE_CANTOPEN: ("the store {path} cannot be opened", "ls -l {file}"),
    sqlite3.SQLITE_PERM: ("the store {path} cannot be opened", "ls -l {file}"),
    sqlite3.SQLITE_IOERR: ("the disk that holds {path} fails (input/output error)", "dmesg | tail"),
    sqlite3.SQLITE_BUSY: ("another program has the store {path} open", "fuser {file}"),
    sqlite3.SQLITE_NOTADB: ("{path} is not an aixtiv store", "file {file}"),
    sqlite3.SQLITE_CORRUPT: ("the store {path} is damaged", "sqlite3 {file} .recover"),
}


def failed(path: Path, error: sqlite3.Error | OSError) -> StoreFailed:
    """The sentence for what SQLite or the operating system says."""
    if isinstance(error, OSError):
        sentence, hint = f"the store {{path}} cannot be used: {folder.reason(error)}", "df -h {folder}"
    elif isinstance(error, Unwritten):
        sentence, hint = "the store {path} took a change and did not make it", "sqlite3 {file} .schema"
    else:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
        sentence, hint = _WORDS.get(
            code, (f"the store {{path}} cannot be used ({type(error).__name__})", "ls -l {file}")
        )
    quoted = {"file": shlex.quote(str(path)), "folder": shlex.quote(str(path.parent))}
    return StoreFailed(sentence.format(path=path), hint=hint.format(**quoted))
