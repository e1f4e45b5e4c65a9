"""What is printed at the end: by attack, what was tried and what became of it."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from faults.attack.attack import Attack
from faults.attack.invariant import VERDICTS, Found


class Score(Struct):
    """Of one attack."""

    rounds: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    broken: int = 0  # rounds that ended with something that must not be
    held: float = 0.0  # the longest time for which a daemon that was killed had had an answer

    def add(self, found: Iterable[Found], seconds: float) -> None:
        self.rounds += 1
        self.seconds += seconds
        for one in found:
            self.verdicts[one.verdict] += 1
            self.held = max(self.held, one.held)


def table(attacks: Iterable[Attack], scores: Mapping[str, Score]) -> str:
    head = ("attack", "rounds", "grants", *VERDICTS, "else", "s/round")
    rows = [head]
    totals: Counter[str] = Counter()
    for attack in attacks:
        score = scores[attack.name]
        counts = [score.verdicts[verdict] for verdict in VERDICTS]
        each = f"{score.seconds / score.rounds:.2f}" if score.rounds else "-"
        rows.append((attack.name, *map(str, (score.rounds, sum(counts), *counts, score.broken)), each))
        totals.update(score.verdicts)
    rounds = sum(score.rounds for score in scores.values())
    counts = [totals[verdict] for verdict in VERDICTS]
    rows.append(("all", *map(str, (rounds, sum(counts), *counts, sum(score.broken for score in scores.values()))), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(_cell(*cell) for cell in zip(row, widths, range(len(row)), strict=True)) for row in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _cell(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)
