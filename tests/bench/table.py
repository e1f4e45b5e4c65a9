"""The table: what was measured, beside what there is to reach, for a person, for JSON and for the page in docs/."""

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.goals import Goal
from bench.measuring import CORES, Ratio, Series, ratio

BEGIN: Final = "<!-- written by make bench -->"
END: Final = "<!-- until here -->"


class Line(Struct, frozen=True, kw_only=True):
    """One figure. Without a goal it is shown for comparison only."""

    row: str
    path: str
    against: str
    unit: str
    floor: float | None
    ours: float
    ratio: Ratio | None
    goal: str = ""
    word: str = ""  # `met`, `not met`; empty: there is no goal
    note: str = ""


class LeftOut(Struct, frozen=True):
    row: str
    why: str


class Report(Struct, kw_only=True):
    """One run."""

    machine: dict[str, str]
    noise: str
    lines: list[Line] = []
    left_out: list[LeftOut] = []
    seconds: float = 0.0


class Row:
    """Makes the lines of one row, which all have its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def line(
        self,
        path: str,
        ours: Series,
        against: str,
        floor: Series,
        unit: str,
        goal: Goal | None = None,
        note: str = "",
    ) -> Line:
        found = goal.of(ours, floor) if goal else ratio(ours, floor)
        return Line(
            row=self.name,
            path=path,
            against=against,
            unit=unit,
            floor=floor.median,
            ours=ours.median,
            ratio=found,
            goal=str(goal) if goal else "",
            word=_word(goal, found.middle),
            note=note,
        )

    def count(self, path: str, ours: float, unit: str, goal: Goal | None = None, note: str = "") -> Line:
        """A number that is compared with nothing but its goal."""
        said = f"{goal.sign} {goal.bound:g}" if goal else ""
        word = _word(goal, ours)
        return Line(
            row=self.name,
            path=path,
            against="–",
            unit=unit,
            floor=None,
            ours=ours,
            ratio=None,
            goal=said,
            word=word,
            note=note,
        )

    def without(self, why: str) -> LeftOut:
        return LeftOut(self.name, why)


def _word(goal: Goal | None, value: float) -> str:
    if goal is None:
        return ""
    return "met" if goal.met(value) else "not met"


def machine() -> dict[str, str]:
    """What one has to know to compare two runs."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": f"{platform.system()} {platform.release()}, {_libc()}",
        "processor": f"{_processor()}, {len(CORES)} of {os.cpu_count()} cores used",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {sys.base_prefix}",
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()) + " (1, 5 and 15 minutes) when it began",
    }


def _libc() -> str:
    return " ".join(platform.libc_ver()) or "another libc than glibc"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def markdown(report: Report) -> Iterator[str]:
    yield from (f"- {name}: {said}" for name, said in report.machine.items())
    yield f"- noise: {report.noise}"
    yield f"- it took {report.seconds / 60:.0f} min"
    yield ""
    yield "| row | path | floor or peer | theirs | ours | ratio (quartiles) | goal | |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from (_cells(line) for line in report.lines)
    if report.left_out:
        yield ""
        yield from (f"- left out of `{each.row}`: {each.why}" for each in report.left_out)


def _cells(line: Line) -> str:
    theirs = "–" if line.floor is None else f"{number(line.floor)} {line.unit}"
    found = line.ratio
    said = f"{found.middle:.2f} ({found.low:.2f}–{found.high:.2f})" if found else "–"
    path = f"{line.path} ({line.note})" if line.note else line.path
    word = f"**{line.word}**" if line.word == "not met" else line.word
    ours = f"{number(line.ours)} {line.unit}"
    return f"| {line.row} | {path} | {line.against} | {theirs} | {ours} | {said} | {line.goal or 'shown'} | {word} |"


def number(value: float) -> str:
    """Three digits that count; thousands as they are."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_json(report: Report, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def write_page(lines: Iterable[str], path: Path) -> None:
    """Between the two marks of that page. Raises ValueError where they are not there."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no place for the table: {BEGIN} … {END}")
    table = "\n".join(lines)
    path.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
