"""A store with thousands of accounts in it, put there by the vault itself."""

from itertools import islice
from pathlib import Path
from typing import Final

from aixtiv_protocol.secret import Secret
from aixtivd.accounts.grant import Grant, to_row
from aixtivd.clock import SystemClock
from aixtivd.config import VaultConfig
from aixtivd.oauth.client import Client
from aixtivd.vault.vault import Vault
from scale.server import access_token, refresh_token

_AT_ONCE: Final = 1000  # accounts in one transaction


def name(number: int) -> str:
    return f"team/{number:05}@example.org"


def scopes(number: int) -> tuple[str, ...]:
    """As some providers write them."""
    return tuple(
        f"https://api.example.org/auth/part-{each:02}.of-what-it-is-good-for.readonly" for each in range(number)
    )


async def seed(
    state: Path, endpoint: str, expiries: list[float], lifetime: float, granted: tuple[str, ...] = ("read", "write")
) -> None:
    """An account for each of `expiries` (Unix time), with a token that lives for `lifetime` seconds until then.

    A `lifetime` of 0: tokens that do not end.
    """
    client = Client(provider="scale", client_id="scale", token_endpoint=endpoint)
    vault = Vault(state, VaultConfig(key="file"), SystemClock())
    await vault.open()
    try:
        grants = (_grant(client, number, ends, lifetime, granted) for number, ends in enumerate(expiries))
        while some := list(islice(grants, _AT_ONCE)):
            await vault.journal.commit_all([(to_row(grant), None) for grant in some])
    finally:
        await vault.aclose()


def _grant(client: Client, number: int, expires_at: float, lifetime: float, granted: tuple[str, ...]) -> Grant:
    return Grant(
        id=number.to_bytes(2, "little") + b"scale accounts",  # spread over the parts of the list, as random ones
        name=name(number),
        provider="scale",
        client=client,
        scopes=granted,
        refresh_token=Secret(refresh_token(number, 0)),
        access_token=Secret(access_token(number, 0)),
        signed_in_at=expires_at - lifetime,
        refreshed_at=expires_at - lifetime,
        expires_at=expires_at,
        lifetime=lifetime,
    )
