"""The vault's key as it is asked about on the socket: checked, rotated, moved to another source."""

from functools import partial

from aixtiv_protocol import replies, requests
from aixtivd.accounts.service import Accounts
from aixtivd.vault.resealing import Seals
from aixtivd.vault.rotation import Moved
from aixtivd.vault.vault import Vault


class Keying:
    def __init__(self, accounts: Accounts, vault: Vault) -> None:
        self._accounts = accounts
        self._vault = vault

    async def check(self, asked: requests.KeyCheck) -> replies.KeyChecked:
        """Raises KeyFailed, Locked, StoreFailed."""
        found = await self._vault.check_key(asked.passphrase)
        return replies.KeyChecked(
            source=self._vault.key_source,
            reason=self._vault.key_reason,
            rows=found.seals.held,
            damaged=found.seals.broken,
            rotated_at=found.made_at,
            cost=found.cost,
        )

    async def rotate(self, asked: requests.KeyRotate) -> str:
        """What was done, a sentence. Raises KeyFailed, Locked, StoreFailed: then everything is as before."""
        seals = await self._accounts.at_rest(partial(self._vault.rotate, asked.passphrase))
        return f"a new data key; {_sealed(seals)}"

    async def move(self, asked: requests.KeyMove) -> str:
        """As `rotate`."""
        move = partial(self._vault.move, asked.to, asked.passphrase, asked.new_passphrase)
        return _moved(asked.to, await self._accounts.at_rest(move))


def _sealed(seals: Seals) -> str:
    broken = f"; {seals.broken} that do not hold stay as they are" if seals.broken else ""
    return f"{seals.held} seals were renewed{broken}"


def _moved(to: requests.KeySource, done: Moved) -> str:
    parts = [
        f"the key comes from the {to} source now, and the data key is a new one; {_sealed(done.seals)}",
        f"{done.left} opens only what was copied before",
    ]
    if done.misnamed:
        parts.append(
            f'the config says vault.key = "{done.misnamed}": set it to "{to}" or "auto", or the vault stays locked at'
            " the next start"
        )
    return "; ".join(parts)
