"""The vault's key as it is asked about on the socket: checked, rotated, moved to another source."""

from aixtiv_protocol import replies, requests
from aixtivd.accounts.service import Accounts
from aixtivd.errors import Refused
from aixtivd.vault.vault import Vault


class Keying:
    def __init__(self, accounts: Accounts, vault: Vault) -> None:
        self._accounts = accounts
        self._vault = vault

    async def check(self, asked: requests.KeyCheck) -> replies.KeyChecked:
        """Raises KeyFailed, Locked, StoreFailed."""
        raise Refused(f"not built yet: {asked}")

    async def rotate(self, asked: requests.KeyRotate) -> str:
        """What was done, a sentence. Raises KeyFailed, Locked, StoreFailed: then everything is as before."""
        raise Refused(f"not built yet: {asked}")

    async def move(self, asked: requests.KeyMove) -> str:
        """As `rotate`."""
        raise Refused(f"not built yet: {asked}")
