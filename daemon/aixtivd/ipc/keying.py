"""The vault's key as it is asked about on the socket: checked, rotated, moved to another source."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

from aixtiv_protocol import replies, requests
from aixtivd.accounts.service import Accounts
from aixtivd.vault.resealing import Seals
from aixtivd.vault.rotation import Moved
from aixtivd.vault.vault import Vault

T = TypeVar("T")


class Keying:
    """`config`: the path of the config, asked for when it is needed."""

    def __init__(self, accounts: Accounts, vault: Vault, config: Callable[[], str]) -> None:
        self._accounts = accounts
        self._config = config
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
        rotate = partial(self._vault.rotate, asked.passphrase)
        seals = await self._accounts.at_rest(partial(_to_its_end, rotate))
        return f"a new data key; {_sealed(seals)}"

    async def move(self, asked: requests.KeyMove) -> str:
        """As `rotate`."""
        move = partial(self._vault.move, asked.to, asked.passphrase, asked.new_passphrase)
        return _moved(asked.to, await self._accounts.at_rest(partial(_to_its_end, move)), self._config())


async def _to_its_end(job: Callable[[], Awaitable[T]]) -> T:
    """Whoever hangs up meanwhile: what was done is recorded. Waiting for one's turn may be given up."""
    with anyio.CancelScope(shield=True):
        done = await job()
    return done  # noqa: RET504  # within the scope mypy misses a return: some scopes swallow


def _sealed(seals: Seals) -> str:
    broken = f"; {seals.broken} that do not hold stay as they are" if seals.broken else ""
    left = "; what they were before is in the store's WAL until the daemon ends" if seals.unfolded else ""
    return f"{seals.held} seals were renewed{broken}{left}"


def _moved(to: requests.KeySource, done: Moved, config: str) -> str:
    where = f" ({done.place})" if to in {"file", "keyring"} else ""
    parts = [
        f"the key comes from the {to} source now{where}, and the data key is a new one; {_sealed(done.seals)}",
        f"{done.left} opens only what was copied before",
    ]
    if done.misnamed:
        parts.append(
            f'set vault.key in {config} to "{to}" or "auto" (it says "{done.misnamed}"), else the vault stays locked at'
            " the next start"
        )
    return "; ".join(parts)
