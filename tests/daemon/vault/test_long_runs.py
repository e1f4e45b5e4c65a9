"""Whatever happens in whatever order, the vault holds what its callers were told it holds."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import KeyFailed, StoreFailed
from aixtivd.vault.rows import Row
from aixtivd.vault.vault import Vault
from peers.disks import SmallDisk, small_disk
from peers.vaults import crashed, names, row, vault_in


class Life:
    """One vault and what its callers believe: a row that was taken is there until somebody deletes it."""

    def __init__(self, disk: SmallDisk, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.disk = disk
        self.folder = folder
        self.believed: dict[bytes, Row] = {}
        self.begun: dict[bytes, int] = {}
        self.vault = vault_in(disk.home)
        self.deaths = 0

    async def step(self) -> None:
        does = (
            self.commit,
            self.commit,
            self.refresh,
            self.refresh,
            self.delete,
            self.fill,
            self.make_room,
            self.absorb,
        )
        await self.random.choice((*does, self.restart, self.die, self.rotate))()
        assert sorted(await self.vault.rows(), key=repr) == sorted(self.believed.values(), key=repr)
        assert {i.id: i.attempts for i in await self.vault.journal.intents()} == self.begun

    def _payload(self) -> bytes:
        return self.random.randbytes(self.random.choice((10, 3000, 9000)))

    async def commit(self) -> None:
        number = self.random.randrange(6)
        before = self.believed.get(row(number).id)
        after = row(number, before.generation + 1 if before else 1, self._payload())
        try:
            await self.vault.journal.commit(after, before)
        except StoreFailed:
            return
        self.believed[after.id] = after
        self.begun.pop(after.id, None)

    async def refresh(self) -> None:
        if not self.believed:
            return
        before = self.random.choice(list(self.believed.values()))
        try:
            intent = await self.vault.journal.begin(before.id, before.generation, Secret(before.payload.hex()))
        except StoreFailed:
            return
        assert intent.attempts == self.begun.get(before.id, 0) + 1
        self.begun[before.id] = intent.attempts

    async def delete(self) -> None:
        if self.random.random() < 0.5 or not self.believed:
            return
        id_ = self.random.choice(list(self.believed))
        try:
            await self.vault.journal.delete(id_)
        except StoreFailed:
            return
        del self.believed[id_]
        self.begun.pop(id_, None)

    async def fill(self) -> None:
        self.disk.fill()

    async def make_room(self) -> None:
        self.disk.make_room()

    async def absorb(self) -> None:
        waiting = self.vault.spilled
        try:
            assert await self.vault.journal.absorb() == waiting
        except StoreFailed:
            assert waiting

    async def rotate(self) -> None:
        with suppress(StoreFailed, KeyFailed):
            await (self.vault.rotate() if self.random.random() < 0.7 else self.vault.move("file"))

    async def restart(self) -> None:
        await self.vault.aclose()
        self.vault = vault_in(self.vault.path.parent)
        await self.vault.open()

    async def die(self) -> None:
        """Only as often as the small disk has room for another copy of itself."""
        self.disk.make_room()
        self.deaths += 1
        copy = crashed(self.vault.path.parent, self.disk.path / f"life-{self.deaths}")
        await self.vault.aclose()
        for name in names(self.vault.path.parent):
            (self.vault.path.parent / name).unlink()
        self.vault = Vault(copy, self.vault._config, self.vault._clock)
        await self.vault.open()


@pytest.mark.parametrize("seed", range(12))
async def test_a_long_life_loses_nothing_that_was_taken(folder: Path, seed: int) -> None:
    with small_disk(folder, "3m") as disk:
        life = Life(disk, folder, seed)
        await life.vault.open()
        try:
            for _ in range(120):
                await life.step()
        finally:
            await life.vault.aclose()
