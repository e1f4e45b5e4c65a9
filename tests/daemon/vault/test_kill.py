"""The process dies, with SIGKILL, at every named place: what the next one finds."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.host.faults import VARIABLE
from peers.disks import small_disk
from peers.vaults import opened, row

PROGRAM: Final = """
import asyncio, sys
from pathlib import Path
from aixtiv_protocol.secret import Secret
from peers.disks import SmallDisk
from peers.vaults import opened, row

async def main(home, ballast):
    async with opened(home) as vault:
        await vault.journal.begin(row(1).id, 1, Secret("refresh-token-Zq81kfPw"))
        if ballast:
            disk = SmallDisk.__new__(SmallDisk)
            disk._ballast = Path(ballast)
            disk.fill()
        print(await vault.journal.commit(row(1, 2), row(1)), flush=True)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def killed_at(point: str, home: Path, ballast: str = "") -> str:
    """What the process said before it died there."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), VARIABLE: point}
    command = [sys.executable, "-c", PROGRAM, str(home), ballast]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    ("point", "generation", "attempts"),
    [
        ("before-intent", 1, []),
        ("after-intent", 1, [1]),
        ("before-commit", 1, [1]),
        ("after-commit", 2, []),
    ],
)
async def test_killed_at_a_step_of_a_refresh(folder: Path, point: str, generation: int, attempts: list[int]) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)
    assert killed_at(point, folder) == ""
    async with opened(folder) as vault:
        assert await vault.rows() == [row(1, generation)]
        assert [intent.attempts for intent in await vault.journal.intents()] == attempts
        again = await vault.journal.begin(row(1).id, generation, Secret("refresh-token-Zq81kfPw"))
        assert again.attempts == len(attempts) + 1
        assert await vault.journal.commit(row(1, 3), row(1, generation))


async def test_killed_on_a_full_disk_after_the_spill(folder: Path) -> None:
    with small_disk(folder) as disk:
        async with opened(disk.home) as vault:
            await vault.journal.commit(row(1), None)
        assert killed_at("spill-written", disk.home, str(disk.path / "ballast")) == ""
        async with opened(disk.home) as vault:
            assert (await vault.rows(), vault.spilled) == ([row(1, 2)], 1)
            assert await vault.journal.intents() == []
            disk.make_room()
            assert await vault.journal.absorb() == 1
            assert (await vault.rows(), vault.spilled) == ([row(1, 2)], 0)
