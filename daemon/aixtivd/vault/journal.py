"""The rotation journal (D6): an intent before a token is spent, and its successor on disk before anybody sees it."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.vault.ledger import Ledger, Stale
from aixtivd.vault.rows import Intent, Kept, Relabelled, Row
from aixtivd.vault.store import Store

__all__ = ["Journal", "Notes", "Opened", "Stale"]


class Opened(Struct, frozen=True):
    """An unlocked vault's parts."""

    store: Store
    ledger: Ledger


class Journal:
    """What may be done to rows. Each method is one piece of work that a cancelled caller cannot cut.

    Each raises Locked while the vault is locked, and StoreFailed where the store cannot do it: then nothing changed.
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        self._opened = opened

    async def begin(self, id_: bytes, generation: int, spending: Secret) -> Intent:
        """Commits that the token `spending` of this generation is about to be spent.

        The returned intent's `attempts` counts how often this very token was begun with and never settled. Raises
        Stale if the store has another generation. If it raises, nothing may be spent.
        """
        opened = self._opened()
        return await opened.store.transact(lambda db: opened.ledger.begin(db, id_, generation, spending))

    async def forget(self, id_: bytes) -> None:
        """The attempt begun last spent nothing after all: its intent is closed, or counts one attempt less."""
        opened = self._opened()
        await opened.store.transact(lambda db: opened.ledger.forget(db, id_))

    async def commit(self, row: Row, previous: Row | None) -> bool:
        """Puts `row` in the place of `previous` (None: it is new), keeps the latter for a day, closes the intent.

        True: in the store. False: the store could not be written and the row lies in the spill slot, as durable but
        waiting for `absorb`. Raises Stale if another generation is there, and StoreFailed if neither took it: hold on
        to it.
        """
        opened = self._opened()
        return await opened.store.transact(lambda db: opened.ledger.commit(db, row, previous))

    async def commit_all(self, changes: Sequence[tuple[Row, Row | None]]) -> None:
        """As `commit`, of each row and the one before it: all of them in one transaction, or none.

        Raises Stale, and StoreFailed where the store cannot be written: a backup is still there to be read again.
        """
        opened = self._opened()
        await opened.store.transact(lambda db: opened.ledger.commit_all(db, changes))

    async def probe(self) -> None:
        """Proves that the store can be written now, before anything is begun that ends in a commit."""
        opened = self._opened()
        await opened.store.transact(opened.ledger.probe)

    async def delete(self, id_: bytes) -> None:
        """Leaves nothing of a row: no earlier generation, no intent, no copy in WAL or slot."""
        opened = self._opened()
        await opened.store.transact(lambda db: opened.ledger.delete(db, id_))

    async def intents(self) -> list[Intent]:
        """The open ones. After a start: tokens that may have been spent."""
        opened = self._opened()
        return await opened.store.transact(opened.ledger.intents)

    async def kept(self, id_: bytes) -> list[Row]:
        """Earlier generations of a row within their grace time, newest first."""
        return [kept.row for kept in await self.kept_until(id_)]

    async def kept_until(self, id_: bytes) -> list[Kept]:
        """The same, with the time at which each may go."""
        opened = self._opened()
        return await opened.store.transact(lambda db: opened.ledger.kept(db, id_))

    async def relabel(self, relabelled: Relabelled) -> None:
        """All of it in one transaction, or nothing. Open intents go on counting under the new generation.

        Raises Stale, and StoreFailed where the store cannot be written.
        """
        opened = self._opened()
        await opened.store.transact(lambda db: opened.ledger.relabel(db, relabelled))

    async def absorb(self) -> int:
        """Moves spilled rows into the store; every write does so too. The number moved."""
        opened = self._opened()
        return await opened.store.transact(opened.ledger.absorb)


class Notes:
    """Small sealed records by name, for other parts of the daemon: neither name nor content can be read on disk.

    The store's list of records names them, too, so that one that was rolled back or taken away is noticed. Each
    method raises Locked while the vault is locked, and StoreFailed where the store cannot do it.
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        self._opened = opened

    async def read(self, name: str) -> bytes | None:
        """What was written last; None: nothing ever was. Raises DamagedNote: it is not what was written last."""
        opened = self._opened()
        return await opened.store.transact(lambda db: opened.ledger.note(db, name))

    async def write(self, name: str, payload: bytes) -> None:
        """It is on disk when this returns."""
        opened = self._opened()
        await opened.store.transact(lambda db: opened.ledger.put_note(db, name, payload))
