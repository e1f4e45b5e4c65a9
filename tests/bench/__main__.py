"""`make bench`: aixtiv beside its floors and its peers on this machine, as one table of ratios.

Nothing here fails because something is slow: the words in the last column say what was reached.
"""

import argparse
import statistics
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import agent, hanging, idle, lines, many, process, relay, sealing, start, table, tokens
from bench.bench import SMOKE, Bench, Measure, Plan
from bench.installed import Installed
from bench.measuring import spin

ROWS: Final[dict[str, Measure]] = {
    "process": process.rows,
    "lines": lines.rows,
    "kept": tokens.kept,
    "tokens": tokens.tokens,
    "agent": agent.rows,
    "hanging": hanging.rows,
    "relay": relay.rows,
    "start": start.rows,
    "memory": idle.memory,
    "wakeups": idle.wake_ups,
    "sealing": sealing.rows,
    "many": many.rows,
}


def main() -> int:
    said = _said()
    if sys.platform != "linux":
        _say("it pins processes to cores and reads /proc: Linux only")
        return 1
    began = time.monotonic()
    report = table.Report(machine=table.machine(), noise=noise())
    _say("the wheel is built and installed")
    installed = Installed(Path(sys.prefix) / "bench").made()
    with TemporaryDirectory(prefix="aix-") as folder:
        bench = Bench(SMOKE if said.smoke else Plan(), installed, Path(folder))
        broken = [name for name in said.only or ROWS if not _measure(name, bench, report)]
    report.seconds = time.monotonic() - began
    made = list(table.markdown(report))
    print("\n".join(made), flush=True)
    if said.json:
        table.write_json(report, said.json)
    if said.page:
        table.write_page(made, said.page)
    return 1 if broken else 0


def _measure(name: str, bench: Bench, report: table.Report) -> bool:
    """Whether all of it could be measured. What another row has shown is not lost over a peer that does not start."""
    began = time.monotonic()
    try:
        for found in ROWS[name](bench):
            if isinstance(found, table.LeftOut):
                report.left_out.append(found)
            else:
                report.lines.append(found)
    except Exception as error:  # noqa: BLE001  # as above; it is told, and the exit status is 1
        traceback.print_exc()
        report.left_out.append(table.LeftOut(name, f"it broke: {type(error).__name__}: {error}"[:300]))
        return False
    _say(f"{name}: {time.monotonic() - began:.0f} s")
    return True


def noise() -> str:
    """How much the same work differs from one time to the next when nothing of ours runs."""
    times = [spin() for _ in range(60)]
    low, middle, high = statistics.quantiles(times, n=4)
    share = (high - low) / middle * 100
    slowest = max(times) / middle
    return f"half of 60 rounds of the same work lay within {share:.1f} %, the slowest took {slowest:.2f} × the median"


def _say(line: str) -> None:
    """How far it is; stdout is for the table."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


def _said() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, help="writes the figures there, too")
    parser.add_argument("--page", type=Path, help="puts the table into that page, between its two marks")
    parser.add_argument(
        "--smoke", action="store_true", help="a moment of everything: shows that it runs, and no figure"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
