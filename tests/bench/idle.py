"""What a daemon costs that nobody asks: its memory with one account and with thousands, and how often it wakes up."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.measuring import interleaved
from bench.table import LeftOut, Line, Row
from bench.world import World, world
from scale import process, seeding

MEMORY: Final = Row("memory")
WAKE_UPS: Final = Row("wakeups")
IMPORTS: Final = "import asyncio, msgspec, sqlite3, cryptography.hazmat.primitives.ciphers.aead"
HOUR: Final = 3600.0
SETTLED: Final = 4.0  # seconds after a start: the daemon keeps then what it loads later (aixtivd.later)
NOBODY: Final = "http://127.0.0.1:9/token"  # is asked by nobody: nothing is due in this time


def memory(bench: Bench) -> Iterator[Line | LeftOut]:
    rounds = max(3, bench.plan.slow // 2)
    floor, ours = interleaved(rounds, partial(_imports, bench), partial(_idle, bench, 1), warm=0)
    yield MEMORY.line("idle, one account, nothing relayed", ours, f'python -c "{IMPORTS}"', floor, "MiB", goals.MEMORY)
    many = bench.plan.accounts[-2]
    grown = (_idle(bench, many) - ours.median) * 1000 / many * 1024
    yield MEMORY.count(f"growth per 1,000 accounts, from {many:,}", grown, "KiB")


def _imports(bench: Bench) -> float:
    words = [bench.installed.python, "-c", f"{IMPORTS}; print(flush=True); input()"]
    with Popen(words, stdin=PIPE, stdout=PIPE, text=True) as waits:
        assert waits.stdout
        waits.stdout.readline()
        held, _ = process.memory(waits.pid)
        waits.communicate("\n")
    return held


def _idle(bench: Bench, accounts: int) -> float:
    """MiB, after one token was handed out, and what follows a start has been done."""
    with world(bench.installed.scripts) as here:
        seeded(here, [time.time() + HOUR] * accounts, HOUR)
        here.started()
        here.machine.token(seeding.name(0))
        time.sleep(SETTLED)
        held, _ = process.memory(here.machine.pid)
        return held


def seeded(here: World, ends: list[float], lifetime: float, endpoint: str = NOBODY) -> None:
    asyncio.run(seeding.seed(here.machine.state, endpoint, ends, lifetime))


def wake_ups(bench: Bench) -> Iterator[Line | LeftOut]:
    """Both daemons at the same time. A wake-up is a thread that slept and was given a processor again."""
    plans = {"nothing due": ([0.0], 0.0), "tokens due in an hour": ([time.time() + HOUR] * 3, HOUR)}
    with ExitStack() as stack:
        worlds = []
        for ends, lifetime in plans.values():
            here = stack.enter_context(world(bench.installed.scripts))
            seeded(here, ends, lifetime)
            here.started().machine.token(seeding.name(0))
            worlds.append(here)
        time.sleep(
            min(5.0, bench.plan.idle)
        )  # what follows a start and an answer has been done: the audit log is sealed
        before = [(here.manager.beats, woken(here.machine.pid)) for here in worlds]
        time.sleep(bench.plan.idle)
        minutes = bench.plan.idle / 60
        for here, name, (beats, times) in zip(worlds, plans, before, strict=True):
            fed = here.manager.beats - beats
            more = (woken(here.machine.pid) - times - fed) / minutes
            goal = goals.WAKE_UPS if name == "nothing due" else goals.WAKE_UPS_DUE
            yield WAKE_UPS.count(f"a minute, beyond the watchdog's {fed / minutes:.1f}: {name}", more, "", goal)


def woken(pid: int) -> int:
    """How often any of its threads went to sleep by itself."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                found += int(line.split()[1])
    return found
