"""Sealing and opening: the vault, and beside it `cryptography`'s AEAD and SQLite alone, with the same bytes.

`vaulted.py FOLDER ROWS SIZE`: for each line on stdin one round, as a line of JSON in seconds.
"""

import asyncio
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aixtivd.clock import SystemClock
from aixtivd.config import VaultConfig
from aixtivd.vault import sealing
from aixtivd.vault.rows import Row
from aixtivd.vault.store import _PRAGMAS as PRAGMAS
from aixtivd.vault.vault import Vault

BOUND = 60  # bytes of associated data, about as many as the vault binds


def aead_alone(rows: list[Row]) -> tuple[float, list[bytes]]:
    aead = AESGCM(os.urandom(sealing.KEY))
    bound = bytes(BOUND)
    began = time.perf_counter()
    sealed = []
    for row in rows:
        nonce = os.urandom(12)
        sealed.append(nonce + aead.encrypt(nonce, row.payload, bound))
    for one in sealed:
        aead.decrypt(one[:12], one[12:], bound)
    return time.perf_counter() - began, sealed


def sqlite_alone(path: Path, rows: list[Row], sealed: list[bytes]) -> float:
    """One transaction that lasts, as the vault's does; a file that the statements before have made."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE records (id BLOB PRIMARY KEY, generation INTEGER, sealed BLOB) WITHOUT ROWID")
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        for row, one in zip(rows, sealed, strict=True):
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (row.id, row.generation, one))
        db.execute("COMMIT")
        found = db.execute("SELECT id, generation, sealed FROM records").fetchall()
        taken = time.perf_counter() - began
    assert len(found) == len(rows)
    return taken


async def vault(folder: Path, rows: list[Row]) -> tuple[float, float]:
    """Sealing and opening."""
    box = Vault(folder, VaultConfig(key="file"), SystemClock())
    await box.open()
    began = time.perf_counter()
    await box.journal.commit_all([(row, None) for row in rows])
    sealed = time.perf_counter()
    found = await box.rows()
    opened = time.perf_counter()
    await box.aclose()
    assert len(found) == len(rows)
    return sealed - began, opened - sealed


def main() -> None:
    folder, number, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    payloads = [os.urandom(size) for _ in range(number)]
    for turn, _ in enumerate(sys.stdin):
        rows = [Row(os.urandom(16), 1, payload) for payload in payloads]
        aead, sealed = aead_alone(rows)
        sqlite = sqlite_alone(folder / f"plain-{turn}.db", rows, sealed)
        sealing_, opening = asyncio.run(vault(folder / f"vault-{turn}", rows))
        print(json.dumps({"aead": aead, "sqlite": sqlite, "sealing": sealing_, "opening": opening}), flush=True)


if __name__ == "__main__":
    main()
