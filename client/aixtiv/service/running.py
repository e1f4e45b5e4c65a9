"""The daemon that answers at the socket, whoever started it: whether there is one, its end, its being replaced."""

import time
from collections.abc import Callable
from typing import Final

from aixtiv.client import Client
from aixtiv.failures import AixtivError, NoDaemon, NotRunning, NotUnderstood
from aixtiv.service.ending import see_off
from aixtiv.service.state import Manager
from aixtiv_protocol import replies

PATIENCE: Final = 10.0  # seconds until a daemon that was started has to answer
_SOON: Final = 1.0  # seconds, after which it is said what a restart waits for
_LONGEST: Final = 90.0  # seconds: relayed calls have up to 40 to end, and so have refreshes after them


def answering() -> replies.DaemonStatus | None:
    """None where none can be asked, for whatever reason."""
    try:
        with Client() as client:
            return client.status()
    except AixtivError:
        return None


def end_stray() -> bool:
    """Ends the daemon that answers, which nobody manages; whether there was one."""
    try:
        with Client() as client:
            pid = client.status().pid
            client.stop()
    except NotRunning:
        return False
    see_off(pid)
    return True


def awaited(log: str) -> replies.DaemonStatus:
    """What the daemon says that was just started. Raises NoDaemon; `log`: the command that shows why."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with Client() as client:
                return client.status()
        except NoDaemon:
            if time.monotonic() > until:
                raise NoDaemon("the daemon was started and does not answer", hint=log) from None
            time.sleep(0.05)  # nothing announces a socket to a caller who has only its path


def locked(status: replies.DaemonStatus) -> tuple[tuple[str, str], ...]:
    """The warning where a person has to open the vault before anybody gets a token."""
    if not status.locked:
        return ()
    what = "a passphrase for the vault is still to be chosen" if status.new_store else "the vault is locked"
    return ((what, "aixtiv unlock"),)


def restart(manager: Manager, say: Callable[[str], None]) -> tuple[str, replies.DaemonStatus]:
    """The daemon's own restart, in which no caller is refused; where it is too old for that, an end and a start."""
    before = answering()
    try:
        with Client() as client:
            note = _handed_over(client, say)
    except NotRunning:
        say(manager.start().note)
        note = ""
    except NotUnderstood:
        say(f"this daemon {f'({before.version}) ' if before else ''}cannot hand over to another: it is stopped first")
        manager.stop()
        manager.start()
        note = ""
    return note, awaited("aixtiv service logs")


def _handed_over(client: Client, say: Callable[[str], None]) -> str:
    """Returns when the old one has let go, with its note if that was not said before. It answers callers until then."""
    note = client.restart().note
    if client.left(_SOON):
        return note
    say(note)
    if not client.left(_LONGEST):
        raise AixtivError("the daemon has not been replaced yet", hint="aixtiv service logs")
    return ""
