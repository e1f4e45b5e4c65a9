"""`aixtiv usage`: calls, bytes and statuses, by account and caller."""

import re
import time
from typing import TYPE_CHECKING, Final

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.words import DAY, HOUR, clean, moment
from aixtiv_protocol.replies import UsageReport, UsageRow

if TYPE_CHECKING:
    from rich.table import Table

_UNITS: Final = {"": DAY, "d": DAY, "h": HOUR}
_RIGHT: Final = ("calls", "sent", "received")


class Since(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5, and 8.3 will do
    """Unix time, from a number of days (`7`, `7d`), of hours (`12h`), or a date (`2026-11-23`: its midnight here)."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        if back := re.fullmatch(r"([0-9]{1,5})([dh]?)", text):
            return max(0, int(time.time() - int(back[1]) * _UNITS[back[2]]))
        try:
            return max(0, int(time.mktime(time.strptime(text, "%Y-%m-%d"))))
        except (ValueError, OverflowError):
            self.fail("expected a number of days (7), hours (12h) or a date (2026-11-23)", param, ctx)


@click.command("usage")
@click.option("--since", type=Since(), default=0, metavar="DAYS|DATE", help="Count from then on (from the beginning).")
@options.common
def usage(since: int, as_json: bool, no_start: bool) -> None:
    """Show what was relayed, by account and caller.

    Calls, bytes each way, and the statuses that came back.
    """
    with options.Asking(no_start=no_start) as client:
        report = client.usage(since)
    if as_json:
        show.as_json({"rows": [show.shape(row) for row in report.rows], "since": report.since})
    elif report.rows:
        show.draw(_table(report))
    else:
        show.note("nothing was relayed since then" if since else "nothing was relayed yet")


def _table(report: UsageReport) -> "Table":
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    agents = any(row.agent for row in report.rows)
    for title in ("account", "program", *(("agent",) if agents else ()), *_RIGHT, "statuses", "last"):
        grid.add_column(title, justify="right" if title in _RIGHT else "left", overflow="fold")
    for row in report.rows:
        grid.add_row(*(clean(cell) for cell in _cells(row, agents=agents)))
    return grid


def _cells(row: UsageRow, *, agents: bool) -> list[str]:
    statuses = ", ".join(f"{'none' if status == '0' else status}: {count}" for status, count in row.statuses.items())
    who = [row.account, row.program or "(unknown)", *([row.agent] if agents else [])]
    return [*who, str(row.calls), size(row.sent), size(row.received), statuses, moment(row.last_at)]


def size(count: float) -> str:
    """Bytes as people say them, in powers of a thousand."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5:
            return f"{count:.3g} {unit}"
    return f"{count / 1000:.0f} TB"
