"""`aixtiv stop`: ends the daemon."""

import contextlib
import os
import select
import time
from typing import Final

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import AixtivError, NotRunning
from aixtiv_protocol.replies import Done

PATIENCE: Final = 45.0  # seconds; the daemon lets open refreshes finish, each of which has 30


@click.command("stop")
@options.json
def stop(as_json: bool) -> None:
    """End the daemon.

    Refreshes that are under way are finished first. The next command starts it again.
    """
    try:
        with Client() as client:  # never started only to be stopped
            pid = _pid(client)
            with options.signalling(client):
                client.stop()
        if pid:
            see_off(pid)
        done = Done(note="stopped")
    except NotRunning:
        done = Done(note="the daemon was not running")
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note)


def _pid(client: Client) -> int:
    """Of the daemon; 0 where it cannot say: it is of another version, or has more to say than a message holds."""
    try:
        return client.status().pid
    except NotRunning:
        raise
    except AixtivError:
        return 0


def see_off(pid: int) -> None:
    """Returns when the process has ended, so that what is typed next finds the store closed."""
    with contextlib.suppress(ProcessLookupError):
        if not (_by_pidfd(pid) if hasattr(os, "pidfd_open") else _by_asking(pid)):
            raise AixtivError(f"the daemon is still finishing after {PATIENCE:.0f} seconds", hint=f"kill {pid}")


def _by_pidfd(pid: int) -> bool:
    """Whether it ended in time. Linux; a pidfd tells even of a process that nobody has waited for yet."""
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], PATIENCE)[0])
    finally:
        os.close(fd)


def _by_asking(pid: int) -> bool:
    """The same where nothing announces the end. Raises ProcessLookupError when it has come."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        os.kill(pid, 0)
        time.sleep(0.02)
    return False
