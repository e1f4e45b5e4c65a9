"""The vault: a locked or open box of sealed rows in one folder, and the only way to them."""

import os
import shlex
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from aixtiv_protocol.requests import KeySource as Name
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.clock import Clock
from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed, Locked, StoreFailed
from aixtivd.host.faults import point
from aixtivd.vault import folder as folders
from aixtivd.vault import keys, manifest, rotation, sealing, spill, store
from aixtivd.vault.journal import Journal, Notes, Opened
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import SENSIBLE, Cost, Passphrase
from aixtivd.vault.ledger import Ledger
from aixtivd.vault.resealing import Seals
from aixtivd.vault.rotation import Checked, Moved, Rotation
from aixtivd.vault.rows import Row

_UNKNOWN: Final = "unknown"


class _Unsealed(Struct, frozen=True):
    """What unlocking found. Only ever in a local variable."""

    meta: store.Meta
    data_key: sealing.DataKey

    def __repr__(self) -> str:
        return "_Unsealed(…)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


class Vault:
    """Open it once with `open`, end with `aclose`. While it is locked its files are only ever read.

    All disk work happens on the store's thread, in order: what was asked before a `lock` or `aclose` is finished first,
    and no cancelled caller cuts anything short.
    """

    def __init__(self, folder: Path, config: VaultConfig, clock: Clock, *, cost: Cost = SENSIBLE) -> None:
        self.path = folder / "store.db"
        self.lock_reason = "it was not opened yet"
        self.journal = Journal(self._open_parts)
        self.notes = Notes(self._open_parts)
        self._folder = folder
        self._slot = folder / "spill"
        self._config = config
        self._clock = clock
        self._cost = cost  # of a new passphrase; tests pass a cheap one
        self._held: int | None = None  # the lock file's descriptor
        self._meta: store.Meta | None = None  # None: no store yet
        self._made_at = 0  # of the data key, as in DataKey
        self._opened: Opened | None = None
        self._turn = anyio.Lock()  # open, unlock, lock and aclose come one after the other
        self._making = threading.Lock()  # also for a maker whose caller was cancelled, and who goes on in his thread

    @property
    def locked(self) -> bool:
        return self._opened is None

    @property
    def new(self) -> bool:
        """Whether the passphrase has still to be chosen."""
        return self._meta is None and self._config.key == "passphrase"

    @property
    def key_source(self) -> str:
        """Its name; empty while it is not chosen yet."""
        if self._meta is not None:
            return _source_name(self._meta)
        return "" if self._config.key == "auto" else self._config.key

    @property
    def key_reason(self) -> str:
        return keys.told(self._meta.reason, self._meta.source, self._folder) if self._meta else ""

    @property
    def damaged(self) -> int:
        """Sealed rows that failed their seal when they were last read."""
        return self._opened.ledger.damaged if self._opened else 0

    @property
    def spilled(self) -> int:
        """Rows that wait in the spill slot for room on the disk."""
        return len(self._opened.ledger.slot.rows) if self._opened else 0

    async def open(self) -> None:
        """Takes the store's lock, and unlocks unless that needs a person. A key that is wrong, missing or does not
        come leaves the vault locked, with `lock_reason`. Raises StoreFailed: then nothing was changed, nothing is held.
        """
        async with self._turn:
            try:
                await anyio.to_thread.run_sync(self._enter)
                self._expect_source(self._meta)
                if self.key_source == "passphrase":
                    self.lock_reason = (
                        "no passphrase has been chosen yet" if self.new else "it waits for its passphrase"
                    )
                    return
                await self._unlock(None)
            except KeyFailed as failure:
                self.lock_reason = failure.sentence
                log.warning("locked", reason=failure.sentence)
            except BaseException:
                self._leave()
                raise

    def _enter(self) -> None:
        folders.enter(self._folder)
        for path, what in self._files():
            folders.check(path, what)
        self._held = folders.lock(self._folder / "store.lock", self.path)
        self._meta = store.examine(self.path) if self.path.exists() else None

    def _files(self) -> list[tuple[Path, str]]:
        """Those that SQLite or we would open. The journal is never ours, but SQLite would look into one."""
        wal, journal = (self.path.with_name(self.path.name + end) for end in ("-wal", "-journal"))
        return [
            (self.path, "the store"),
            (wal, "the store's WAL"),
            (journal, "the store's journal"),
            (self._slot, "the spill slot"),
        ]

    def _expect_source(self, meta: store.Meta | None) -> None:
        """What the config asks for is not undone by exchanging the files. Raises KeyFailed."""
        source = _source_name(meta) if meta else _UNKNOWN
        if source not in (_UNKNOWN, self._config.key) and self._config.key != "auto":
            raise KeyFailed(
                f'the config says vault.key = "{self._config.key}", but the key of this store comes from the {source}'
                f' source; if it is yours, set vault.key to "{source}" or "auto"',
                hint="aixtiv stop",  # the next command starts one
            )

    async def unlock(self, passphrase: Secret | None = None) -> None:
        """Opens the vault. The first passphrase ever given to a store that wants one makes it.

        Raises KeyFailed, after which everything is as before, or StoreFailed.
        """
        async with self._turn:
            if self._held is None:
                raise StoreFailed(f"the vault {self.path} is not open")
            if not self.locked:
                return
            self._expect_no_passphrase(passphrase)
            try:
                await self._unlock(passphrase)
            except KeyFailed as failure:
                if self.key_source != "passphrase":
                    self.lock_reason = failure.sentence
                raise

    async def _unlock(self, passphrase: Secret | None) -> None:
        unsealed = await anyio.to_thread.run_sync(self._unsealed, passphrase)
        self._meta, data_key = unsealed.meta, unsealed.data_key
        self._made_at = data_key.made_at
        sealer = sealing.Sealer(data_key.seals, data_key.lasting)
        ledger = Ledger(sealer, spill.Slot(self._slot, sealer), self._clock)
        try:
            self._opened = Opened(await store.Store.open(self.path, ledger.start), ledger)
        except sealing.BrokenSeal:
            raise StoreFailed(
                f"the store {self.path} was altered: its list of records fails its seal",
                hint=shlex.join(("mv", str(self.path), f"{self.path}.altered")),
            ) from None
        self.lock_reason = ""
        log.info("store-opened", source=self.key_source)
        await self._strengthen(unsealed, passphrase, self._opened)

    async def _strengthen(self, unsealed: _Unsealed, passphrase: Secret | None, opened: Opened) -> None:
        """A passphrase that was stretched with less than is sensible today. Where it fails, the next unlock tries."""
        source = keys.from_record(unsealed.meta.source)
        if not isinstance(source, Passphrase) or not source.cost.below(self._cost):
            return
        try:
            meta = await anyio.to_thread.run_sync(self._stretched_anew, unsealed, source, passphrase)
            await self._put(opened, lambda db: opened.ledger.rewrap(db, meta), meta, unsealed.data_key.made_at)
        except (KeyFailed, StoreFailed) as failure:
            log.warning("passphrase-not-strengthened", reason=failure.sentence)
        else:
            log.info("passphrase-strengthened", before=str(source.cost), now=str(self._cost))

    def _stretched_anew(self, unsealed: _Unsealed, source: Passphrase, passphrase: Secret | None) -> store.Meta:
        chosen = keys.again(source, self._occasion(unsealed.meta.store, passphrase), self._cost)
        return rotation.rewrapped(unsealed.meta, chosen, unsealed.data_key)

    def _unsealed(self, passphrase: Secret | None) -> _Unsealed:
        """Blocking. Where there is no store yet, makes it with its key; a key source is chosen here or never."""
        with self._making:
            meta = self._meta
            if meta is None and self.path.exists():  # made for a caller who did not wait for it
                meta = store.examine(self.path)
            return self._made(passphrase) if meta is None else self._unwrapped(meta, passphrase)

    def _unwrapped(self, meta: store.Meta, passphrase: Secret | None) -> _Unsealed:
        source = keys.from_record(meta.source)
        self._expect_source(meta)
        material = source.load(self._occasion(meta.store, passphrase))
        key = sealing.derive(material, meta.store, source.name)
        try:
            plain = sealing.unwrap(key, meta.wrapped, meta.store, meta.source)
            return _Unsealed(meta, sealing.DataKey.read(plain))
        except sealing.BrokenSeal:
            raise _wrong_key(source) from None

    def _made(self, passphrase: Secret | None) -> _Unsealed:
        """First the key, durable and read back; then the store. A crash between them leaves a key for the next try."""
        self._refuse_remains()
        id_, data_key = os.urandom(sealing.ID), sealing.DataKey.first(os.urandom(sealing.KEY))
        chosen = keys.choose(self._config, self._occasion(id_, passphrase), self._cost)
        source = keys.recorded(chosen.source)
        key = sealing.derive(chosen.material, id_, chosen.source.name)
        meta = store.Meta(id_, source, chosen.reason, sealing.wrap(key, data_key.written(), id_, source))
        store.create(self.path, meta, lambda db: manifest.begin(db, sealing.Sealer(data_key.seals)))
        log.info("store-made", path=str(self.path), source=chosen.source.name, reason=chosen.reason)
        return _Unsealed(meta, data_key)

    def _occasion(self, store_id: bytes, passphrase: Secret | None) -> Occasion:
        return Occasion(self._folder, store_id, passphrase, self._config.keyring_backend)

    def _refuse_remains(self) -> None:
        """A WAL or slot without its store may be part of one that comes back from a backup, so it is not built over."""
        wal = self.path.with_name(self.path.name + "-wal")
        try:
            found = [wal] if store.hot(self.path) else [self._slot] if spill.holds_rows(self._slot) else []
        except OSError as error:
            raise store.failed(self.path, error) from None
        for path in found:
            raise StoreFailed(
                f"the store {self.path} is missing, but {path} holds part of it", hint=f"mv {path} {path}.old"
            )

    async def try_key(self, passphrase: Secret | None = None) -> None:
        """Asks the key source for the key once more; a passphrase is tried if it is given. Raises KeyFailed."""
        meta = self._meta
        if meta is not None and (passphrase is not None or self.key_source != "passphrase"):
            # A passphrase is not left behind in a thread; what asks another program may never come back.
            await anyio.to_thread.run_sync(self._unwrapped, meta, passphrase, abandon_on_cancel=passphrase is None)

    async def check_key(self, passphrase: Secret | None = None) -> Checked:
        """Whether the key opens the store as it lies on disk, and every seal in it. Raises KeyFailed, Locked.

        A passphrase is tried if it is given; every other source is asked.
        """
        async with self._turn:
            opened = self._open_parts()
            self._expect_no_passphrase(passphrase)
            meta = await opened.store.transact(store.read_meta)
            if meta is None:
                raise StoreFailed(f"the store {self.path} is damaged: it does not say which key it belongs to")
            if passphrase is not None or self.key_source != "passphrase":
                await anyio.to_thread.run_sync(self._unwrapped, meta, passphrase)
            return Checked(await opened.store.transact(opened.ledger.seals), self._made_at, rotation.cost(meta))

    async def rotate(self, passphrase: Secret | None = None) -> Seals:
        """A new data key, and everything sealed anew. Raises KeyFailed, Locked, StoreFailed: then all is as before."""
        return await self._renew(lambda meta, lasting: self._rotated(meta, lasting, passphrase))

    async def move(self, to: Name, passphrase: Secret | None = None, new_passphrase: Secret | None = None) -> Moved:
        """As `rotate`, and the key around the data key comes from another source, or is another one of the same."""
        present, asked = self._meta, self._config.key
        seals = await self._renew(lambda meta, lasting: self._moved(meta, lasting, to, passphrase, new_passphrase), to)
        left, now = (rotation.place(meta, self._folder) for meta in (present, self._meta))
        return Moved(seals, left, now, misnamed="" if asked in ("auto", to) else asked)

    async def _renew(self, prepare: Callable[[store.Meta, bytes], Rotation], to: Name | None = None) -> Seals:
        async with self._turn:
            opened = self._open_parts()
            assert self._meta is not None
            new = await anyio.to_thread.run_sync(prepare, self._meta, opened.ledger.lasting)
            point("rotate-prepared")
            await self._put(
                opened, lambda db: opened.ledger.rotate(db, new.sealer, new.meta), new.meta, new.made_at, to
            )
            log.info("key-rotated", source=self.key_source)
            return await opened.store.transact(opened.ledger.seals)

    async def _put(
        self,
        opened: Opened,
        put: Callable[[sqlite3.Connection], None],
        meta: store.Meta,
        made_at: int,
        to: Name | None = None,
    ) -> None:
        """What is on disk and what is known of it change together, on the store's thread, whoever hangs up."""

        def work(db: sqlite3.Connection) -> None:
            put(db)
            self._meta, self._made_at = meta, made_at
            if to and self._config.key != "auto":  # until it is read again: whoever exchanges the files moved no key
                self._config = replace(self._config, key=to)

        with anyio.CancelScope(shield=True):
            await opened.store.transact(work)

    def _rotated(self, meta: store.Meta, lasting: bytes, passphrase: Secret | None) -> Rotation:
        """Blocking. The present key is asked for, and has to open this store: the new data key is wrapped with it."""
        self._expect_no_passphrase(passphrase)
        self._unwrapped(meta, passphrase)
        chosen = keys.again(keys.from_record(meta.source), self._occasion(meta.store, passphrase), self._cost)
        return rotation.begun(meta, chosen, lasting, self._clock.wall())

    def _moved(
        self, meta: store.Meta, lasting: bytes, to: Name, passphrase: Secret | None, new_passphrase: Secret | None
    ) -> Rotation:
        """Blocking. The present source need not answer any more, but a passphrase is nobody's to take away."""
        self._expect_no_passphrase(passphrase)
        present = keys.from_record(meta.source)
        if isinstance(present, Passphrase):
            self._unwrapped(meta, passphrase)
        occasion = self._occasion(meta.store, new_passphrase)
        chosen = keys.another(to, present, self._config, occasion, self._cost)
        if rotation.opens(meta, present, chosen.material):
            raise KeyFailed(
                f"{keys.place(chosen.source, occasion)} holds the key of now: nothing was moved",
                hint="aixtiv key rotate",
            )
        chosen = replace(chosen, reason=f"{keys.MOVED} from the {present.name} source")
        return rotation.begun(meta, chosen, lasting, self._clock.wall())

    def _expect_no_passphrase(self, passphrase: Secret | None) -> None:
        if passphrase is not None and self.key_source != "passphrase":
            raise KeyFailed(f"this vault's key comes from the {self.key_source} source, not from a passphrase")

    async def lock(self, why: str = "it was locked on request") -> None:
        """Forgets the data key, after everything that was asked before is done. The store's lock file stays ours."""
        async with self._turn:
            await self._close(why)

    async def aclose(self) -> None:
        async with self._turn:
            try:
                await self._close("it was closed")
            finally:
                self._leave()

    async def _close(self, why: str) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        self.lock_reason = why
        try:
            await opened.store.transact(opened.ledger.stop)
        finally:
            await opened.store.close()
        log.info("store-closed", reason=why)

    def _leave(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    async def rows(self) -> list[Row]:
        """All that unseal; damaged ones are counted, logged and left on disk. Raises Locked, StoreFailed."""
        opened = self._open_parts()
        return await opened.store.transact(opened.ledger.rows)

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes that belongs to this store and that purpose. Raises Locked."""
        return self._open_parts().ledger.derive(purpose)

    def _open_parts(self) -> Opened:
        if self._opened is None:
            raise Locked(f"the vault is locked: {self.lock_reason}")
        return self._opened


def _source_name(meta: store.Meta) -> str:
    try:
        return keys.from_record(meta.source).name
    except KeyFailed:
        return _UNKNOWN


def _wrong_key(source: keys.KeySource) -> KeyFailed:
    if source.name == "passphrase":
        return KeyFailed("that passphrase is not the one", hint="aixtiv unlock")
    return KeyFailed(
        f"the key from the {source.name} source does not open this store: it is another store's key, or the store was"
        " altered"
    )
