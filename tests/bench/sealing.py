"""The vault's seals beside `cryptography` and SQLite alone, with the same bytes on the same disk."""

import json
import subprocess
from collections.abc import Iterator
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.floors import PROGRAMS
from bench.measuring import BACK, Series, on
from bench.table import LeftOut, Line, Row
from bench.world import world

ROW: Final = Row("sealing")
SIZE: Final = 1200  # bytes of a row: about a grant with a token of the size of a JWT


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    number = bench.plan.sealed
    turns = 1 + max(2, bench.plan.slow // 2)
    with world(bench.installed.scripts) as here, on(BACK):
        words = [bench.installed.python, str(PROGRAMS / "vaulted.py"), str(here.folder), str(number), str(SIZE)]
        ran = subprocess.run(words, input="\n" * turns, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    seen = [json.loads(line) for line in ran.stdout.splitlines()][1:]  # the first was to warm up
    alone = Series(tuple((each["aead"] + each["sqlite"]) * 1000 for each in seen))
    ours = Series(tuple((each["sealing"] + each["opening"]) * 1000 for each in seen))
    parts = {name: Series(tuple(each[name] * 1000 for each in seen)).median for name in seen[0]}
    note = ", ".join(f"{name} {value:.0f}" for name, value in parts.items())
    yield ROW.line(
        f"{number:,} rows sealed and opened", ours, "AEAD alone plus SQLite alone", alone, "ms", goals.SEALING, note
    )
