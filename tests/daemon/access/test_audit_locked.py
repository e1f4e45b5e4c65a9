"""Daemons that start without the key, beside others that had it: what they write is taken in, and not proven."""

from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain
from aixtivd.access.caller import DAEMON
from aixtivd.access.chain import Tip
from peers.audits import desk, lines, rewrite, shown


@pytest.mark.parametrize("before", ["stopped", "killed", "killed within a line"])
async def test_a_start_that_stays_locked_is_no_alteration_to_the_next_one(
    folder: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was away. The daemon before it was open, and nothing told it that such lines would follow."""
    async with desk(folder) as here:
        await here.happened("one")
        if before != "stopped":
            monkeypatch.setattr(here._book, "seal", AsyncMock())
            await here.happened("two")
    if before == "killed within a line":
        with (folder / "audit.log").open("ab") as file:
            file.write(b'{"number":3')
    for _ in range(2):
        async with desk(folder) as locked:
            await locked.vault.lock()
            locked.note("start", DAEMON)
            await locked.happened("late")
    async with desk(folder) as here:
        verdict = await here.verify()
        assert (verdict.intact, verdict.plain) == (True, 5 if before == "killed within a line" else 4)
    async with desk(folder) as again:
        assert await again.verify() == verdict


async def test_what_looks_like_a_locked_start_is_taken_in_as_not_proven_and_alters_nothing_that_is(
    folder: Path,
) -> None:
    """A forger without the key can append that much while no daemon runs: it is marked and counted."""
    async with desk(folder) as here:
        await here.happened(*"abcdefgh")
    proven = lines(folder)
    forged = [AuditRecord(number=0, at=1.0, what=what, account="forged") for what in ("start", "token")]
    data, _ = chain.lines(forged, Tip(8, shown(proven[-1])["mac"]), None)
    rewrite(folder, [*proven, data])
    async with desk(folder) as here:
        verdict = await here.verify()
        assert (verdict.intact, verdict.plain) == (True, 2)
        assert [record.plain for record in await here.all()] == [False] * 8 + [True, True, False]
        assert "records beyond the sealed end were taken in: 2, 2 of them" in (await here.all())[-1].detail
