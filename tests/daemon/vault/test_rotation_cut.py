"""A change of the key that is cut short at every step, by SIGKILL or a full disk: the old key or the new one, whole."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from aixtivd.config import VaultConfig
from aixtivd.errors import KeyFailed, StoreFailed
from aixtivd.vault import folder as folders
from aixtivd.vault import ledger, resealing, vault
from peers.disks import SmallDisk, small_disk
from peers.rotated import PHRASE, Whole, data_key, furnished, meta_of, whole
from peers.vaults import crashed, opened

PROGRAM: Final = """
import asyncio, os, shutil, sys
from pathlib import Path
from aixtivd.host.faults import VARIABLE
from peers.rotated import PHRASE, furnished
from peers.vaults import opened

async def furnish(home):
    async with opened(home) as vault:
        await furnished(vault, 5)

async def change(home, to):
    async with opened(home) as vault:
        await (vault.move(to, None, PHRASE) if to else vault.rotate())

def killed(folder, step, to):
    home = folder / f"{step} {to}"
    shutil.copytree(folder / "made", home)
    child = os.fork()
    if not child:
        os.environ[VARIABLE] = step
        asyncio.run(change(home, to))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

folder = Path(sys.argv[1])
asyncio.run(furnish(folder / "made"))
print(*(killed(folder, *case.split(">")) for case in sys.argv[2:]))
"""

# Whether the new key is the one by then.
STEPS: Final = {
    "rotate-prepared": False,
    "rotate-begun": False,
    "rotate-row": False,
    "rotate-row:6": False,
    "rotate-row:13": False,  # the last: five rows with an earlier generation each, an intent, two notes
    "rotate-sealed": False,
    "rotate-committed": True,
    "rotate-folded": True,
}
ROTATIONS: Final = [(step, "") for step in STEPS]
MOVES: Final = [
    ("before", "file"),
    ("rotate-prepared", "file"),
    ("rotate-sealed", "passphrase"),
    ("rotate-committed", "file"),
    ("rotate-committed", "passphrase"),
]
KILLS: Final = [
    *ROTATIONS,
    *((step, "passphrase") for step in ("rotate-sealed", "rotate-committed")),
    *((step, "file") for step in ("key-written", "rotate-sealed", "rotate-committed")),
]


@pytest.fixture(scope="module")
def killed() -> Iterator[Path]:
    """One store, and what each case has left of a copy. One process and its children: starting many takes long."""
    folder = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROGRAM, str(folder), *(">".join(case) for case in KILLS)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(KILLS), ran.stderr
    yield folder
    shutil.rmtree(folder)


async def made(killed: Path) -> Whole:
    """What there was before."""
    async with opened(killed / "made") as vault_:
        return await whole(vault_)


async def check_it_is_whole(home: Path, expected: Whole, *, source: str = "file") -> None:
    """And can be rotated and written."""
    async with opened(home, VaultConfig()) as found:
        if source == "passphrase":
            await found.unlock(PHRASE)
        assert found.key_source == source
        assert await whole(found) == expected
        assert (await found.check_key()).seals.broken == 0
        await found.rotate(PHRASE if source == "passphrase" else None)
        assert await whole(found) == expected


@pytest.mark.parametrize(("step", "to"), [case for case in KILLS if case[1] != "file"])
async def test_killed_at_any_step_the_store_opens_with_the_old_or_the_new_key_whole(
    killed: Path, step: str, to: str
) -> None:
    home = killed / f"{step} {to}"
    if not to:
        assert bool((await data_key(home)).made_at) == STEPS[step]
    await check_it_is_whole(home, await made(killed), source=to if to and STEPS[step] else "file")


@pytest.mark.parametrize("step", [step for step, to in KILLS if to == "file"])
async def test_killed_moving_to_another_key_file_neither_key_is_lost(killed: Path, step: str) -> None:
    """And a second try takes another name: what lies there may be the key of this very store."""
    home = killed / f"{step} file"
    assert (home / "key").read_bytes() == (killed / "made/key").read_bytes()
    assert ('"key-2"' in (await meta_of(home)).source) == STEPS.get(step, False)
    async with opened(home) as found:
        await found.move("file")
    assert '"key-3"' in (await meta_of(home)).source
    await check_it_is_whole(home, await made(killed))


def fill_at(step: str, disk: SmallDisk) -> Callable[[str], None]:
    """In the place of `point`: the disk is full from there on."""
    name, _, times = step.partition(":")
    left = int(times or 1)

    def point(reached: str) -> None:
        nonlocal left
        left -= reached == name
        if left == 0:
            disk.fill()
            left = -1

    return point


@pytest.mark.parametrize(("step", "to"), [("before", ""), *ROTATIONS, *MOVES])
async def test_a_disk_that_is_full_from_any_step_on_leaves_the_old_or_the_new_key_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, to: str
) -> None:
    with small_disk(folder, "3m") as disk:
        async with opened(disk.home) as found:
            expected = await furnished(found, 8, size=4000)
            for module in (ledger, resealing, vault):
                monkeypatch.setattr(module, "point", fill_at(step, disk))
            if step == "before":
                disk.fill()
            work = found.move(to, None, PHRASE) if to else found.rotate()  # type: ignore[arg-type]  # one of two
            failed = not STEPS.get(step, False)
            with pytest.raises((StoreFailed, KeyFailed), match=r"full|space") if failed else nullcontext():
                await work
            monkeypatch.undo()
            assert await whole(found) == expected, "this daemon goes on"
            assert found.key_source == (to if to and not failed else "file")
            disk.make_room()
            copy = crashed(disk.home, folder / "crashed")
            assert (await found.check_key()).seals.broken == 0
            await found.journal.probe()
        await check_it_is_whole(copy, expected, source=to if to and not failed else "file")
        await check_it_is_whole(disk.home, expected, source=to if to and not failed else "file")


async def test_a_key_file_that_cannot_be_written_moves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(folder) as found:
        expected = await furnished(found)

        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(folders, "sync", broken)
        with pytest.raises(KeyFailed, match=r"cannot be written: input/output error"):
            await found.move("file")
        monkeypatch.undo()
        assert await whole(found) == expected
    await check_it_is_whole(folder, expected)
