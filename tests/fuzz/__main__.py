"""`make fuzz`: every target under atheris, one after the other, so many inputs each, and a table at the end.

What a target could not take is kept under tests/fuzz/cases/NAME, which the ordinary tests replay.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from fuzz import memory
from fuzz.table import NAMES, target

CASES: Final = Path(__file__).parent / "cases"

_SLOWEST: Final = 20  # seconds for one input: an endless loop is a finding, too
_MEMORY: Final = 2048  # MiB


class Tried(Struct, frozen=True):
    name: str
    seconds: float
    seed: int
    kept: Path | None  # the case that was found; None: there is none
    words: str = ""  # the end of what libFuzzer said, where it failed

    @property
    def well(self) -> bool:
        return not self.words


def main() -> int:
    asked = _asked()
    tried = []
    with tempfile.TemporaryDirectory(prefix="aix-fuzz-", dir=memory.folder()) as folder:
        os.environ[memory.MEMORY] = folder
        for name in asked.only or NAMES:
            tried.append(_tried(name, asked.runs, asked.seed))
            print(_row(tried[-1], asked.runs), flush=True)
            if not tried[-1].well:
                print(tried[-1].words, file=sys.stderr)
    failed = [one.name for one in tried if not one.well]
    print(f"{len(tried)} targets, {asked.runs} inputs each; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0, help="repeats a run; 0: any")
    parser.add_argument("--only", nargs="*", choices=NAMES, help="these targets and no others")
    return parser.parse_args()


def _tried(name: str, runs: int, seed: int) -> Tried:
    seed = seed or int.from_bytes(os.urandom(3), "big") + 1
    with tempfile.TemporaryDirectory(prefix="aix-fuzz-", dir=memory.folder()) as folder:
        corpus, found = Path(folder, "corpus"), Path(folder, "found")
        corpus.mkdir()
        found.mkdir()
        for data in [*target(name).seeds(), *(case.read_bytes() for case in cases(name))]:
            (corpus / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        began = time.monotonic()
        options = (f"-runs={runs}", f"-seed={seed}", f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MEMORY}", "-verbosity=0")
        command: tuple[str, ...] = (sys.executable, "-W", "error", "-m", "fuzz.under_atheris", name, str(corpus))
        command += (*options, f"-artifact_prefix={found}/")
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        kept = [_keep(name, path) for path in found.iterdir()]
    words = _end_of(done.stdout.decode(errors="replace")) if done.returncode else ""
    return Tried(name, time.monotonic() - began, seed, kept[0] if kept else None, words)


def _end_of(said: str) -> str:
    """The traceback, and what libFuzzer adds."""
    return "\n".join(line[:300] for line in said.splitlines()[-40:])


def cases(name: str) -> list[Path]:
    """Those that were found, of that target."""
    return sorted((CASES / name).glob("*"))


def _keep(name: str, path: Path) -> Path:
    data = path.read_bytes()
    kept = CASES / name / hashlib.sha256(data).hexdigest()[:12]
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(data)
    return kept


def _row(one: Tried, runs: int) -> str:
    speed = f"{runs / one.seconds:8.0f} a second" if one.well else ""
    word = "well" if one.well else f"FAILED, kept: {one.kept}" if one.kept else "FAILED"
    return f"{one.name:18}{one.seconds:8.0f} s {speed}  seed {one.seed:<9} {word}"


if __name__ == "__main__":
    sys.exit(main())
