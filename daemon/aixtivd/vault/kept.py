"""Earlier generations in SQL: what a record said before, for a while."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from aixtivd import log
from aixtivd.vault.rows import Kept, Row
from aixtivd.vault.sealing import BrokenSeal, Sealer
from aixtivd.vault.store import expect_written

GRACE: Final = 24 * 3600.0
"""Seconds for which the row before the last is kept. Servers that allow a spent refresh token again do so for a minute
or so; a day leaves a person time to act."""

SWEEP: Final = 600.0
"""Seconds between two looks at all that is kept: with thousands of records a look at each commit costs more than it."""

MOST: Final = 3
"""Earlier generations of a record at most, so that a token that lives for a second does not fill the disk in a day.

The one before stays in any case, and the two beside it that are kept for longest. The last of its kind is kept for
twice as long, and so for a day before all others: refreshes would push it out else.
"""

_TABLE: Final = "kept"


def read(db: sqlite3.Connection, sealer: Sealer, id_: bytes) -> list[Kept]:
    """Those within their grace time, newest first."""
    found = db.execute("SELECT generation, sealed, until FROM kept WHERE id = ? ORDER BY generation DESC", (id_,))
    rows = []
    for generation, sealed, until in found:
        try:
            row = Row(id_, generation, sealer.unseal(_TABLE, id_, generation, sealed))
        except BrokenSeal:
            log.error("kept-row-damaged", row=id_.hex()[:8])
        else:
            rows.append(Kept(row, float(until) if isinstance(until, int | float) else 0.0))
    return rows


def put(db: sqlite3.Connection, sealer: Sealer, row: Row, now: float) -> None:
    """Part of a change of the store. `now`: Unix time."""
    sealed = sealer.seal(_TABLE, row.id, row.generation, row.payload)
    kept = (row.id, row.generation, sealed, now + (2 * GRACE if row.last else GRACE))
    expect_written(db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", kept))
    others = "SELECT generation FROM kept WHERE id = ?1 AND generation != ?3"
    longest = f"{others} ORDER BY until DESC, generation DESC LIMIT ?2"
    beyond = f"DELETE FROM kept WHERE id = ?1 AND generation != ?3 AND generation NOT IN ({longest})"  # noqa: S608  # two constants
    db.execute(beyond, (row.id, MOST - 1, row.generation))


def rewrite(db: sqlite3.Connection, sealer: Sealer, rows: Iterable[Row]) -> None:
    """Part of a change of the store: what those generations say now, for as long as they are kept; nothing: not."""
    for row in rows:
        if not row.payload:
            db.execute("DELETE FROM kept WHERE id = ? AND generation = ?", (row.id, row.generation))
            continue
        sealed = sealer.seal(_TABLE, row.id, row.generation, row.payload)
        db.execute("UPDATE kept SET sealed = ? WHERE id = ? AND generation = ?", (sealed, row.id, row.generation))


def sweep(db: sqlite3.Connection, now: float) -> None:
    """Drops what was kept for long enough."""
    db.execute("DELETE FROM kept WHERE until < ?", (now,))
