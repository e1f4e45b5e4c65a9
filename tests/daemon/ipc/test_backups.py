"""Backups on the socket: bounds, and what an answer can carry."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import FRAME_CAP, encode_reply
from aixtiv_protocol.requests import PIECE
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.restoring import Restored
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config, VaultConfig
from aixtivd.errors import BadRequest, Refused
from aixtivd.ipc.backups import Backups
from aixtivd.vault import backup
from aixtivd.vault.backup import Content
from aixtivd.vault.keys.passphrase import CHEAP
from peers.vaults import opened

PASSPHRASE = Secret("an eager badger")


class Kept:
    """Accounts that are only bytes."""

    def __init__(self, *records: bytes, names: tuple[str, ...] = ("one",)) -> None:
        self.records = records
        self.names = names
        self.restored: list[Content] = []

    def content(self) -> Content:
        return Content(1.0, self.records)

    async def restore(self, content: Content, *, replace: bool) -> Restored:
        self.restored.append(content)
        return Restored(self.names, self.names)


class Sent:
    """A body in these pieces; how many were taken."""

    length = None

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            yield piece


def anything(content: Content) -> None:
    """May be brought."""


async def exported(backups: Backups) -> list[bytes]:
    pieces: AsyncIterator[Any] = backups.export(requests.Export(new_passphrase=PASSPHRASE))
    return [piece.data async for piece in pieces]


async def test_a_backup_comes_in_pieces_that_fit_and_goes_back_in_any(folder: Path) -> None:
    kept = Kept(b"x" * 200_000, b"y" * 200_000)
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", kept), vault, CHEAP)
        pieces = await exported(backups)
        assert [len(piece) for piece in pieces[:-1]] == [PIECE] * (len(pieces) - 1)
        whole = b"".join(pieces)
        body = Sent(whole[:1], whole[1:70_000], b"", whole[70_000:])
        done = await backups.restore(requests.Restore(passphrase=PASSPHRASE, more=True), body, anything)
        assert kept.restored == [kept.content()]
        assert (done.accounts, done.made_at) == (("one",), 1)


async def test_what_is_larger_than_any_backup_is_refused_while_it_comes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "MOST", 1024 * 1024)
    kept = Kept(b"x" * 2_000_000)
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", kept), vault, CHEAP)
        body = Sent(backup.MAGIC + struct.pack(">16sIII12s", b"", 1, 8, 1, b""), *[b"z" * 500_000] * 10)
        with pytest.raises(BadRequest, match="larger than 1 MiB"):
            await backups.restore(requests.Restore(passphrase=PASSPHRASE), body, anything)
        assert body.taken == 4
        with pytest.raises(Refused, match="larger than 1 MiB"):
            await exported(backups)


async def test_what_the_config_forbids_is_forbidden_from_then_on(folder: Path) -> None:
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", Kept()), vault, CHEAP)
        assert await exported(backups)
        backups.configure(Config(vault=VaultConfig(export=False)))
        with pytest.raises(Refused, match=r"vault\.export"):
            await exported(backups)


async def test_the_names_of_ten_thousand_accounts_fit_an_answer_and_what_does_not_is_counted(folder: Path) -> None:
    names = tuple(f"{number:05}/{'n' * 90}" for number in range(10_000))
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", Kept(names=names)), vault, CHEAP)
        whole = b"".join(await exported(backups))
        done = await backups.restore(requests.Restore(passphrase=PASSPHRASE), Sent(whole), anything)
        assert len(encode_reply(done, "lines")) < FRAME_CAP
        told = len(done.accounts) - 1
        assert done.accounts == (*names[:told], f"and {10_000 - told} others")
        assert isinstance(done, replies.Restored)


async def test_what_is_no_backup_is_not_read_on(folder: Path) -> None:
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", Kept()), vault, CHEAP)
        for beginning, sentence in [
            (b"z" * 500, "no backup"),
            (backup.MAGIC + struct.pack(">16sIII12s", b"", 5, 8, 1, b""), "more work"),
        ]:
            body = Sent(beginning, b"z" * 500, b"z" * 500)
            with pytest.raises(BadRequest, match=sentence):
                await backups.restore(requests.Restore(passphrase=PASSPHRASE), body, anything)
            assert body.taken == 1


async def test_one_restore_is_read_at_a_time(folder: Path) -> None:
    """Each is whole in memory."""
    async with opened(folder) as vault:
        backups = Backups(cast("Accounts", Kept()), vault, CHEAP)
        whole = b"".join(await exported(backups))
        second = Sent(whole)

        class Meanwhile(Sent):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                with pytest.raises(Refused, match="another restore is under way"):
                    await backups.restore(requests.Restore(passphrase=PASSPHRASE), second, anything)
                yield whole

        await backups.restore(requests.Restore(passphrase=PASSPHRASE), Meanwhile(), anything)
        assert second.taken == 0
        await backups.restore(requests.Restore(passphrase=PASSPHRASE), second, anything)
        assert second.taken == 1, "and then the next"
