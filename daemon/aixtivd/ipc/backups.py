"""Backups as they are asked for on the socket: every account, sealed to a passphrase, and back."""

from collections.abc import AsyncIterator

from aixtiv_protocol import replies, requests
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config
from aixtivd.errors import Refused
from aixtivd.relay.call import Body
from aixtivd.vault.vault import Vault


class Backups:
    def __init__(self, accounts: Accounts, vault: Vault) -> None:
        self._accounts = accounts
        self._vault = vault

    def configure(self, config: Config) -> None:
        self._allowed = config.vault.export

    async def export(self, asked: requests.Export) -> AsyncIterator[replies.Piece]:
        """Raises Locked, KeyFailed, Refused."""
        raise Refused(f"not built yet: {asked}")
        yield replies.Piece()

    async def restore(self, asked: requests.Restore, body: Body) -> replies.Restored:
        """All of it or nothing. Raises BadRequest, KeyFailed, Locked, StoreFailed."""
        raise Refused(f"not built yet: {asked}, {body}")
