"""A stand-in that runs as a process of its own: started, asked over HTTP, and ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 30.0  # seconds for anything it should do at once, on a machine that may be busy

_TESTS: Final = Path(__file__).parents[1]


@contextmanager
def running(module: str, *options: str) -> Iterator[dict[str, Any]]:
    """`python -m MODULE` for the length of the block: the JSON line with which it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *options],
        env=os.environ | {"PYTHONPATH": str(_TESTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            yield ready
        finally:
            process.terminate()
            process.wait(PATIENCE)


def asked(request: urllib.request.Request) -> dict[str, Any]:
    """Its answer, which is JSON; past any proxy that the machine has."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=PATIENCE) as answer:
        document: dict[str, Any] = json.loads(answer.read())
        return document


def ending() -> asyncio.Event:
    """For the process itself: set when it is asked to end."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
