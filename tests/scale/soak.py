"""`make soak`: hours compressed into minutes by tokens that live for seconds; memory and descriptors have to stay flat.

Prints a line every half minute and the slopes at the end, and exits 0 if they are flat and nothing was lost.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtiv import AixtivError, Client
from peers.machine import Machine
from scale import process, seeding
from scale.run import counts, line, measured

ACCOUNTS: Final = 100
CALLERS: Final = 32
LIFETIME: Final = 8  # seconds of a token: it is refreshed at about half of them
EVERY: Final = 5.0  # seconds between two looks
WARM: Final = 1 / 3  # of the time: what comes first is not counted, caches and the heap find their size

SLOPE: Final = 60.0  # KiB a minute at most, above which memory is not flat
SPREAD: Final = 12  # descriptors between the fewest and the most: connections to the server and of passing commands


class Look(Struct, frozen=True):
    minute: float
    memory: float  # MiB
    descriptors: int
    refreshes: int


class Soak:
    def __init__(self, folder: Path, minutes: float) -> None:
        self._machine = Machine(folder)
        self._minutes = minutes
        self._looks: list[Look] = []

    def run(self) -> int:
        with process.running("scale.server", str(LIFETIME), "0.01") as server:
            port = int(line(server))
            ends = [time.time() + LIFETIME] * ACCOUNTS
            asyncio.run(seeding.seed(self._machine.state, f"http://127.0.0.1:{port}/token", ends, LIFETIME))
            with self._machine:
                self._machine.start()
                words = (str(self._machine.socket), CALLERS, ACCOUNTS, 5)
                with process.running("scale.callers", *map(str, words)) as callers:
                    self._watch(port)
                    asked = measured(callers)
                return self._verdict(asked, counts(port))

    def _watch(self, port: int) -> None:
        """Looks, and what people do beside it: commands that come and go, a `watch` that is left in the middle."""
        began = told = time.monotonic()
        pid = self._machine.pid
        while (now := time.monotonic()) < began + self._minutes * 60:
            self._pass_by()
            look = Look((now - began) / 60, process.memory(pid)[0], process.descriptors(pid), counts(port)["refreshes"])
            self._looks.append(look)
            if now - told >= 30 or len(self._looks) == 1:
                told = now
                print(
                    f"{look.minute:5.1f} min  {look.memory:7.2f} MiB  {look.descriptors:4} descriptors "
                    f" {look.refreshes:8} refreshes",
                    flush=True,
                )
            time.sleep(EVERY)

    def _pass_by(self) -> None:
        path = str(self._machine.socket)
        for _ in range(10):
            with Client(path) as client, suppress(AixtivError):
                client.accounts()
                client.status()
                client.token("nobody")
        with Client(path) as client, client.watch() as events:
            next(iter(events))

    def _verdict(self, asked: dict[str, object], server: dict[str, int]) -> int:
        counted = [look for look in self._looks if look.minute >= self._minutes * WARM]
        memory = slope([(look.minute, look.memory * 1024) for look in counted])
        files = slope([(look.minute, look.descriptors) for look in counted])
        held = [look.descriptors for look in counted]
        each = server["refreshes"] / ACCOUNTS
        print(
            f"\n{each:.0f} refreshes of each of {ACCOUNTS} accounts, as many as {each:.0f} hours take\n"
            f"{asked['asked']} tokens handed out, p99 {asked['p99']:.2f} ms, failures {asked['failures'] or 'none'},"
            f" {asked['expired']} that had ended; {server['reused']} refresh tokens spent twice\n"
            f"memory        {memory:+.1f} KiB a minute ({counted[0].memory:.1f} to {counted[-1].memory:.1f} MiB)\n"
            f"descriptors   {files:+.2f} a minute ({min(held)} to {max(held)})"
        )
        why = list(broken(memory, held, asked, server))
        print("\n".join(f"NOT HELD: {each}" for each in why) or "flat, and nothing was lost", flush=True)
        return 1 if why else 0


def broken(memory: float, held: list[int], asked: dict[str, object], server: dict[str, int]) -> Iterator[str]:
    """`memory`: KiB a minute. `held`: descriptors, look by look."""
    if memory > SLOPE:
        yield "memory grows"
    if max(held) - min(held) > SPREAD:
        yield "descriptors are not flat"
    if asked["failures"] or asked["expired"] or not asked["asked"]:
        yield "not every caller got a good token"
    if server["reused"]:
        yield "a refresh token was spent twice"


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line that fits best (least squares)."""
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    across = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / across if across else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aix-") as folder:
        return Soak(Path(folder), said.minutes).run()


if __name__ == "__main__":
    sys.exit(main())
