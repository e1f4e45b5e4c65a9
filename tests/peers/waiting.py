"""Waiting, in a test that blocks, for what nobody announces: asked again and again, and not for ever."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0  # seconds, on a machine that may be busy
_PAUSE: Final = 0.02


def until(there: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """What `there` says, once that is true. `what`: for the sentence where it never is."""
    deadline = time.monotonic() + patience
    while not (found := there()):
        assert time.monotonic() < deadline, f"it never came to this: {what}"
        time.sleep(_PAUSE)
    return found
