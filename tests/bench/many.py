"""What the number of accounts costs: a start, in which all are opened and planned, and one refresh among them."""

import time
from collections.abc import Iterator
from typing import Final

from aixtiv_protocol import replies, requests
from bench import goals
from bench.bench import Bench
from bench.idle import HOUR, seeded
from bench.measuring import BACK, Series, on
from bench.start import first_token
from bench.table import LeftOut, Line, Row
from bench.world import World, world
from scale import process, seeding
from scale.run import line

ROW: Final = Row("many")


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    starts: dict[int, Series] = {}
    refreshes: dict[int, Series] = {}
    for number in bench.plan.accounts:
        with process.running("scale.server", str(int(HOUR)), "0") as server, world(bench.installed.scripts) as here:
            endpoint = f"http://127.0.0.1:{int(line(server))}/token"
            seeded(here, [time.time() + HOUR] * number, HOUR, endpoint)
            with on(BACK):
                turns = range(max(3, bench.plan.slow // 2))
                starts[number] = Series(tuple(first_token(here, seeding.name(0)) for _ in turns))
            refreshes[number] = _refreshed(bench, here)
    yield from _growth(bench, starts, refreshes)


def _refreshed(bench: Bench, here: World) -> Series:
    """Milliseconds of single refreshes, each waited for; without the first one, which loads what it needs."""
    seen = []
    here.started()
    with here.machine.conversation() as talk:
        for turn in range(bench.plan.refreshes + 1):
            began = time.perf_counter()
            talk.say(requests.Refresh(account=seeding.name(turn % 10)))
            answer = talk.hear()
            seen.append((time.perf_counter() - began) * 1000)
            assert isinstance(answer, replies.Account), answer
    return Series(tuple(seen[1:]))


def _growth(bench: Bench, starts: dict[int, Series], refreshes: dict[int, Series]) -> Iterator[Line]:
    """What a start costs beyond that with the fewest accounts is the accounts'."""
    fewest, *_, before, most = bench.plan.accounts
    base = starts[fewest].median
    planned = {number: Series(tuple(each - base for each in series.rounds)) for number, series in starts.items()}
    note = ", ".join(f"{number:,}: {series.median:.0f}" for number, series in starts.items())
    yield ROW.line(
        f"a start with {most:,} accounts beyond one with {fewest}",
        planned[most],
        f"the same with {before:,}",
        planned[before],
        "ms",
        goals.PLAN_GROWTH,
        f"ms to the first token with {note}",
    )
    note = ", ".join(f"{number:,}: {series.median:.2f}" for number, series in refreshes.items())
    yield ROW.line(
        f"one refresh among {most:,} accounts",
        refreshes[most],
        f"the same among {fewest}",
        refreshes[fewest],
        "ms",
        goals.REFRESH_GROWTH,
        f"ms among {note}",
    )
