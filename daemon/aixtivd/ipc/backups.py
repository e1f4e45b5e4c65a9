"""Backups as they are asked for on the socket: every account, sealed to a passphrase, and back."""

from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
import anyio.to_thread

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import PIECE
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config
from aixtivd.errors import BadRequest, KeyFailed, Refused
from aixtivd.relay.call import Body
from aixtivd.vault import backup
from aixtivd.vault.keys.passphrase import SENSIBLE, Cost
from aixtivd.vault.vault import Vault

_NAMES: Final = 100_000  # characters of names in an answer: in JSON, and twice, they still fit a message


class Backups:
    """`cost`: of a backup's passphrase; tests pass a cheap one."""

    def __init__(self, accounts: Accounts, vault: Vault, cost: Cost = SENSIBLE) -> None:
        self._accounts = accounts
        self._vault = vault
        self._cost = cost
        self._allowed = True
        self._restoring = False  # one at a time: each holds a whole backup in memory
        self._stretching = anyio.Lock()  # one at a time: each takes 64 MiB

    def configure(self, config: Config) -> None:
        self._allowed = config.vault.export

    async def export(self, asked: requests.Export) -> AsyncIterator[replies.Piece]:
        """Whole, before the first piece leaves. Raises BadRequest, Locked, KeyFailed, Refused."""
        sealed = await self._sealed(asked)
        for at in range(0, len(sealed), PIECE):
            yield replies.Piece(data=sealed[at : at + PIECE])

    async def _sealed(self, asked: requests.Export) -> bytes:
        if not self._allowed:
            raise Refused("the config forbids backups (vault.export = false)")
        async with self._stretching:
            await self._prove(asked.passphrase)
            content = self._accounts.content()
            sealed = await anyio.to_thread.run_sync(backup.sealed, content, asked.new_passphrase, self._cost)
        if len(sealed) > backup.MOST:
            raise Refused(f"a backup of all accounts would be larger than {backup.MOST // 1024**2} MiB")
        return sealed

    async def _prove(self, passphrase: Secret | None) -> None:
        """Where the vault has a passphrase, whoever takes everything out of it knows it."""
        if self._vault.key_source != "passphrase":
            return
        if not passphrase:
            raise KeyFailed("a backup is made for whoever knows the vault's own passphrase", hint="aixtiv export FILE")
        await self._vault.try_key(passphrase)

    async def restore(
        self, asked: requests.Restore, body: Body, admit: Callable[["backup.Content"], None]
    ) -> replies.Restored:
        """All of it or nothing; of what is in it, `admit` raises for what the caller may not bring.

        Raises BadRequest, KeyFailed, Locked, StoreFailed.
        """
        if self._restoring:
            raise Refused("another restore is under way", hint="aixtiv restore FILE")
        self._restoring = True
        try:
            content = await self._unsealed(asked, body)
            return await self._restored(asked, content, admit)
        finally:
            self._restoring = False

    async def _unsealed(self, asked: requests.Restore, body: Body) -> "backup.Content":
        data = await _whole(body)
        async with self._stretching:
            return await anyio.to_thread.run_sync(backup.unsealed, data, asked.passphrase)

    async def _restored(
        self, asked: requests.Restore, content: "backup.Content", admit: Callable[["backup.Content"], None]
    ) -> replies.Restored:
        with anyio.CancelScope(shield=True):  # to its end, and recorded, whoever hangs up from now on
            admit(content)
            done = await self._accounts.restore(content, replace=asked.replace)
        return replies.Restored(
            accounts=_fitting(done.accounts), kept=_fitting(done.kept), made_at=int(content.made_at)
        )


async def _whole(body: Body) -> bytearray:
    """Read no further where its beginning shows that it is no backup."""
    data, looked = bytearray(), False
    async for piece in body:
        data += piece
        if len(data) >= backup.HEAD and not looked:
            backup.expect_head(data[: backup.HEAD])
            looked = True
        if len(data) > backup.MOST:
            raise BadRequest(f"no backup is larger than {backup.MOST // 1024**2} MiB")
    return data


def _fitting(names: tuple[str, ...]) -> tuple[str, ...]:
    """As many as an answer can carry, and how many others there are."""
    room = _NAMES
    for at, name in enumerate(names):
        room -= len(name)
        if room < 0:
            return (*names[:at], f"and {len(names) - at} others")
    return names
