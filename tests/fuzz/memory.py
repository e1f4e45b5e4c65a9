"""Where fuzzing writes its files: in memory, for a million of them would wear a disk."""

import os
import tempfile
from functools import cache
from pathlib import Path

MEMORY = "AIXTIV_FUZZ_IN"
"""Names the folder in which `place` makes one: whoever sets it takes it away, since libFuzzer ends without a word."""


def folder() -> Path:
    """In memory, if the machine has such a place."""
    said = os.environ.get(MEMORY)
    memory = Path(said or "/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


@cache
def place() -> Path:
    """A folder of this process alone."""
    return Path(tempfile.mkdtemp(prefix="aix-fuzz-", dir=folder()))
