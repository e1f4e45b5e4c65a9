"""`make scale`: thousands of accounts whose tokens end within one minute, in a real daemon, with callers all the while.

Prints what was seen, and exits 0 if every bound below was held.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from scale.run import Bounds, Plan, Run, told

BOUNDS = Bounds()


def main() -> int:
    plan = _plan()
    with tempfile.TemporaryDirectory(prefix="aix-") as folder:
        seen = Run(Path(folder), plan).all(_say)
    for line in told(seen):
        _say(line)
    broken = BOUNDS.broken(seen)
    for line in broken:
        _say(f"NOT HELD: {line}")
    if not broken:
        _say("every bound was held")
    return 1 if broken else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _plan() -> Plan:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--accounts", type=int, default=usual.accounts)
    parser.add_argument("--callers", type=int, default=usual.callers)
    parser.add_argument("--per-second", type=float, default=usual.per_second, help="questions of one caller")
    said = parser.parse_args()
    return Plan(accounts=said.accounts, callers=said.callers, per_second=said.per_second)


if __name__ == "__main__":
    sys.exit(main())
