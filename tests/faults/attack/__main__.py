"""`make attack`: the real daemon between a hostile server and a hostile machine, for as many rounds as fit."""

import argparse
import logging
import math
import os
import random
import sys
import time

from faults.attack.arsenal import ATTACKS
from faults.attack.attack import Attack
from faults.attack.hostile import here
from faults.attack.runner import Runner
from faults.attack.table import table

WORKERS = 2
MINUTES = 20.0  # where nobody says how long, nor how many rounds


def main() -> int:
    logging.getLogger().addHandler(logging.NullHandler())  # a torn slot in a dead daemon's files is no news
    said = _arguments()
    chosen = _chosen(said.only)
    seed = said.seed if said.seed is not None else random.SystemRandom().randrange(10**6)
    minutes = said.minutes or (math.inf if said.rounds else MINUTES)
    print(f"seed {seed}; {len(chosen)} attacks, {_limits(said.rounds, minutes)}", flush=True)
    began = time.monotonic()
    runner = Runner(chosen, seed, began + minutes * 60, _say)
    runner.run(said.rounds, said.block, said.workers)
    print(f"\n{table(chosen, runner.scores)}\n")
    held = max((score.held for score in runner.scores.values()), default=0.0)
    if held:
        print(f"who died with an answer in hand had had it for {held * 1000:.0f} ms at most")
    for why in runner.untried:
        print(f"not everything was tried: {why}")
    print(f"{time.monotonic() - began:.0f} s, seed {seed}: {'nothing was lost' if runner.held else 'NOT HELD'}")
    return 0 if runner.held else 1


def _chosen(names: list[str]) -> tuple[Attack, ...]:
    if why := here():
        sys.exit(f"attack: error: {why}")
    if unknown := set(names) - {attack.name for attack in ATTACKS}:
        sys.exit(f"attack: error: there is no attack {', '.join(unknown)}")
    chosen = [attack for attack in ATTACKS if attack.name in names or not names]
    for attack in chosen:
        if attack.root and os.geteuid() != 0:
            print(f"left out: {attack.name}, which takes root (it mounts a small disk)")
    return tuple(attack for attack in chosen if not attack.root or os.geteuid() == 0)


def _limits(rounds: int, minutes: float) -> str:
    limits = [f"{rounds} rounds"] * bool(rounds) + [f"{minutes:g} minutes at most"] * math.isfinite(minutes)
    return ", ".join(limits)


def _say(words: str) -> None:
    print(words, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="in all; without it the time decides")
    parser.add_argument("--minutes", type=float, default=0.0, help="without it 20, or as long as ROUNDS take")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--block", type=int, default=0, help="the first block's number")
    parser.add_argument("--workers", type=int, default=WORKERS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
