"""Signals wait where nobody heeds them: within a process, over an execution, and whichever thread they reach."""

import signal
import subprocess
import sys

import pytest

BEGIN = """
import asyncio, os, signal, subprocess, sys, threading
sys.path[:0] = {path!r}
from aixtivd.host import signals

def me(which):
    os.kill(os.getpid(), which)

async def heard(number):
    with signals.heeded() as coming:
        told = [signal.Signals(await anext(coming)).name for _ in range(number)]
        print(*told, flush=True)

def blocked():
    return subprocess.run([sys.executable, "-c", "import signal; print(len(signal.pthread_sigmask(0, ())))"],
                          capture_output=True, text=True).stdout.strip()
"""


def printed(script: str, **options: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.format(path=sys.path) + script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,  # type: ignore[call-overload]  # as the test wants them
    )
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout).split()


def test_one_that_comes_while_nobody_heeds_them_is_heard_by_the_next() -> None:
    """Before the first loop, and between two."""
    script = """
signals.keep()
me(signal.SIGUSR1)
asyncio.run(heard(1))
me(signal.SIGHUP)
asyncio.run(heard(1))
"""
    assert printed(script) == ["SIGUSR1", "SIGHUP"]


def test_one_that_another_thread_took_and_one_that_was_not_taken_wait_too() -> None:
    script = """
over = threading.Event()
thread = threading.Thread(target=over.wait)  # blocks no signal
thread.start()
async def nothing():
    with signals.heeded():
        me(signal.SIGTERM)
asyncio.run(nothing())
me(signal.SIGUSR1)
over.set()
thread.join()
asyncio.run(heard(2))
"""
    assert sorted(printed(script)) == ["SIGTERM", "SIGUSR1"]


def test_they_wait_over_an_execution() -> None:
    script = """
if len(sys.argv) == 1:
    signals.keep()
    me(signal.SIGUSR1)
    os.execv(sys.executable, [sys.executable, "-c", {script!r}, "again"])
asyncio.run(heard(1))
"""
    whole = BEGIN.format(path=sys.path) + script
    again = whole.replace("{script!r}", "''")
    assert printed(script.replace("{script!r}", repr(again))) == ["SIGUSR1"]


@pytest.mark.parametrize("from_birth", [False, True], ids=["blocked by us", "blocked by whoever started us"])
def test_no_program_that_is_started_inherits_that_they_are_blocked(from_birth: bool) -> None:
    script = """
signals.keep()
async def start():
    with signals.heeded():
        print(await asyncio.to_thread(blocked))
asyncio.run(start())
"""
    blocked = (
        (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1, signal.SIGTERM))) if from_birth else None
    )
    assert printed(script, preexec_fn=blocked) == ["0"]
