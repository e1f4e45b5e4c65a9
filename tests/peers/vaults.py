"""Vaults for tests: opened, crashed, looked at from outside."""

import hashlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from aixtivd.config import VaultConfig
from aixtivd.vault.keys.passphrase import CHEAP
from aixtivd.vault.rows import Row
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock

FILE: Final = VaultConfig(key="file")
SECRET: Final = b"refresh-token-Zq81kfPw of anthropic/work, sub alice@example.org"


def vault_in(folder: Path, config: VaultConfig = FILE, clock: FakeClock | None = None) -> Vault:
    return Vault(folder, config, clock or FakeClock(), cost=CHEAP)


@asynccontextmanager
async def opened(folder: Path, config: VaultConfig = FILE, clock: FakeClock | None = None) -> AsyncIterator[Vault]:
    vault = vault_in(folder, config, clock)
    await vault.open()
    try:
        yield vault
    finally:
        await vault.aclose()


def row(number: int, generation: int = 1, payload: bytes = SECRET) -> Row:
    """The same number gives the same id."""
    return Row(hashlib.sha256(bytes([number])).digest()[:16], generation, payload)


def image(folder: Path) -> dict[str, str]:
    """Every file's bytes, as a fingerprint. The lock file, which names who is open, is no part of the store."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "store.lock")
    return {path.name: f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def crashed(folder: Path, copy: Path | None = None) -> Path:
    """What the disk would hold if the process that has this vault open were killed now: WAL and all."""
    copy = copy or folder / "crashed"
    copy.mkdir(mode=0o700)
    for path in folder.iterdir():
        if path.is_file():
            shutil.copy2(path, copy / path.name)
    return copy


@contextmanager
def inside(folder: Path) -> Iterator[sqlite3.Connection]:
    """A closed vault's file, in the hands of somebody who may write it."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as db:
        yield db


def credential(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = bytes(range(32))) -> Path:
    """As systemd hands one over."""
    directory = folder / "credentials"
    directory.mkdir(exist_ok=True)
    (directory / "aixtiv.key").write_bytes(content)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory / "aixtiv.key"
