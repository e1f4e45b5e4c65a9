"""What a check found: a stable name, a verdict, one sentence, and the command or the repair that mends it."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Verdict = Literal["fine", "wrong", "skipped"]


class Repair(Struct, frozen=True):
    """What `--fix` does about a finding. `run` raises AixtivError or OSError where it cannot."""

    sentence: str  # what is done, as "closed ~/.local/state/aixtiv to others"
    run: Callable[[], None]
    question: str = ""  # asked of the person first, where a running program is touched


class Finding(Struct, frozen=True):
    name: str  # stable, and documented in docs/commands.md
    verdict: Verdict
    sentence: str
    hint: str = ""  # a command to type
    account: str = ""
    fixed: bool = False  # it was wrong until --fix mended it
    repair: Repair | None = None


def fine(name: str, sentence: str, *, account: str = "") -> Finding:
    return Finding(name, "fine", sentence, account=account)


def wrong(name: str, sentence: str, hint: str = "", *, account: str = "", repair: Repair | None = None) -> Finding:
    return Finding(name, "wrong", sentence, hint, account, repair=repair)


def skipped(name: str, sentence: str, hint: str = "") -> Finding:
    """Not looked at, or nothing to look at: no fault."""
    return Finding(name, "skipped", sentence, hint)
