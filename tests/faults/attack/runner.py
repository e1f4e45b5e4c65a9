"""Runs blocks of rounds until there are enough, or the time is over, and keeps the score."""

import random
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from faults.attack.attack import Attack
from faults.attack.hostile import built
from faults.attack.invariant import Found, judged
from faults.attack.scene import Scene, Violation, scene
from faults.attack.table import Score
from peers.authority.process import Running, authorization_server
from peers.claude_api.process import claude_process

_BAD: Final = frozenset({"lost by us", "erased"})


class Block(Struct, frozen=True):
    """Some rounds of one attack on a new machine. Its number decides, with the seed, all that is left to chance."""

    attack: Attack
    number: int


class Runner:
    """`say` takes what a person should see at once; `until` (time.monotonic()): no round begins later."""

    def __init__(self, attacks: tuple[Attack, ...], seed: int, until: float, say: Callable[[str], None]) -> None:
        self.scores: Final = {attack.name: Score() for attack in attacks}
        self._attacks = attacks
        self._seed = seed
        self._until = until
        self._logs = Path(tempfile.gettempdir()) / f"aixtiv-attack-{seed}"
        self._say = say
        self._lock = threading.Lock()
        self._asked = 0  # rounds
        self._ended: list[str] = []  # workers, by what they did not foresee

    @property
    def held(self) -> bool:
        """Whether nothing was lost by us, and everything was tried that should be."""
        bad = sum(score.broken + sum(score.verdicts[verdict] for verdict in _BAD) for score in self.scores.values())
        return not bad and not self.untried

    @property
    def untried(self) -> list[str]:
        """Why nothing bad in the table need not mean much: a sentence each."""
        none = [name for name, score in self.scores.items() if not score.rounds]
        rounds = sum(score.rounds for score in self.scores.values())
        found = [f"{worker} ended early" for worker in self._ended]
        found += [f"no round of {', '.join(none)}"] * bool(none)
        found += [f"{rounds} rounds of {self._asked} that were asked for"] * (rounds < self._asked)
        return found

    def run(self, rounds: int, first: int, workers: int) -> None:
        """Blocks from number `first` on, every attack in turn, each worker with servers of its own. 0 rounds: any."""
        self._asked = rounds
        waiting = self._blocks(rounds, first)
        with tempfile.TemporaryDirectory(prefix="aix-") as folder:
            library = built(Path(folder))
            threads = [
                threading.Thread(target=self._working, args=(waiting, library), name=f"worker {number}")
                for number in range(workers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _blocks(self, rounds: int, first: int) -> Iterator[Block]:
        planned, number = 0, first
        while self._attacks:
            for attack in self._attacks:
                if 0 < rounds <= planned:
                    return
                yield Block(attack, number)
                planned += attack.rounds
            number += 1

    def _next(self, waiting: Iterator[Block]) -> Block | None:
        with self._lock:
            return next(waiting, None) if time.monotonic() < self._until else None

    def _working(self, waiting: Iterator[Block], library: Path) -> None:
        """A thread's end is told by nobody but itself."""
        try:
            self._work(waiting, library)
        except BaseException as error:  # noqa: BLE001  # also a test's Skipped: what a worker did not do did not hold
            with self._lock:
                self._ended.append(threading.current_thread().name)
            self._say("".join(traceback.format_exception(error)))

    def _work(self, waiting: Iterator[Block], library: Path) -> None:
        with ExitStack() as stack:
            servers = {
                named: stack.enter_context(authorization_server(*(("--host", "localhost") if named else ())))
                for named in {attack.setting.named for attack in self._attacks}
            }
            claude = (
                stack.enter_context(claude_process("--accept-prefix", "at-")).url
                if any(attack.setting.claude for attack in self._attacks)
                else ""
            )
            while block := self._next(waiting):
                self._play(block, servers[block.attack.setting.named], library, claude)

    def _play(self, block: Block, server: Running, library: Path, claude: str) -> None:
        attack = block.attack
        chance = random.Random(f"{self._seed} {attack.name} {block.number}")
        kind = attack.kinds[(block.number + chance.randrange(2)) % len(attack.kinds)]
        try:
            with scene(server, library, attack.setting, kind, chance, claude) as at:
                for number in range(attack.rounds):
                    if time.monotonic() >= self._until:
                        return
                    self._round(block, at, number)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told, and counted against us
            self._broken(block, f"{kind}, before the rounds", error, "")

    def _round(self, block: Block, at: Scene, number: int) -> None:
        began = time.monotonic()
        at.gone.clear()
        at.leaving.clear()
        at.told.clear()
        try:
            block.attack.act(at)
            at.mend()
            found = judged(at)
        except Exception as error:
            self._broken(block, f"{at.kind}, round {number}", error, at.machine.log)
            raise _Told from error
        with self._lock:
            self.scores[block.attack.name].add(found, time.monotonic() - began)
        for one in found:
            self._judge(block, at, number, one)
        for name in at.gone:  # also those of which a logout was cut
            at.sign_in(name)

    def _judge(self, block: Block, at: Scene, number: int, one: Found) -> None:
        if one.verdict in _BAD:
            self._tell(block, f"{at.kind}, round {number}: {one.account} {one.verdict}: {one.why}", at.machine.log)
        if one.verdict != "survived":
            at.sign_in(one.account)

    def _broken(self, block: Block, where: str, error: Exception, log: str) -> None:
        if isinstance(error, _Told):
            return
        with self._lock:
            self.scores[block.attack.name].broken += 1
        words = str(error) if isinstance(error, Violation) else "".join(traceback.format_exception(error))
        self._tell(block, f"{where}: {words}", log)

    def _tell(self, block: Block, what: str, log: str) -> None:
        self._logs.mkdir(exist_ok=True)
        name, number = block.attack.name, block.number
        again = f"make attack SEED={self._seed} ONLY={name} BLOCK={number} ROUNDS={block.attack.rounds}"
        kept = self._logs / f"{name}-{number}.log"
        kept.write_text(log)
        self._say(f"{name}, block {number}, {what}\n  the daemon's log: {kept}\n  again: {again}")


class _Told(Exception):
    """That failure was told already."""
