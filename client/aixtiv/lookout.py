"""The daemon's state once, or again and again: at each event, every few seconds, and across its restarts."""

import select
import signal
import sys
import time
from collections.abc import Generator
from types import FrameType
from typing import Final, NoReturn, Self

from msgspec.structs import replace

from aixtiv import show
from aixtiv.client import Client
from aixtiv.failures import AixtivError, Denied
from aixtiv.glance import Seen, view
from aixtiv.stream import Stream
from aixtiv.words import moment
from aixtiv_protocol.replies import Event

_FRAME: Final = 1.0  # seconds between two drawings: bars and spans go on without the daemon
_ASK: Final = 5.0  # seconds between two questions where nothing happens: not every change is an event


def look(client: Client) -> Seen:
    found = client.status()
    return Seen(found, None if found.accounts or found.locked else _refused(client))


def tell(seen: Seen, *, verbose: bool) -> None:
    show.draw(view(seen, verbose=verbose))


def watch(seen: Seen, *, verbose: bool) -> NoReturn:
    """Until Ctrl-C. A daemon that has ended is waited for, and not started: whoever ended it may have meant it."""
    from rich.live import Live  # noqa: PLC0415  # only here

    signal.signal(signal.SIGTERM, _ended)  # so that the terminal gets its own screen back
    with Live(console=show.console(), screen=True, auto_refresh=False) as live:
        for now in _looks(seen):
            live.update(view(now, verbose=verbose, worst_first=True), refresh=True)
    raise AssertionError  # there is always another look


def _ended(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)  # as a shell reports it


def _looks(seen: Seen) -> Generator[Seen]:
    with Client() as client, _Events(client) as events:
        while True:
            asked = time.monotonic()
            while True:
                yield seen
                if events.happened(_FRAME) or time.monotonic() - asked >= _ASK:
                    break
            seen = _again(client, seen)


def _again(client: Client, seen: Seen) -> Seen:
    try:
        return look(client)
    except AixtivError as failure:
        client.close()
        return replace(seen, trouble=seen.trouble or f"{failure.sentence}; this is how it was at {_hour()}")


def _hour() -> str:
    return moment(time.time())


def _refused(client: Client) -> Denied | None:
    """Why no account is told of, where it is a rule that forbids it: status itself is answered to everybody."""
    try:
        client.accounts()
    except Denied as failure:
        return failure
    return None


class _Events:
    """What wakes the lookout. Where there are none (the vault is locked, a rule forbids it) it wakes by itself."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream: Stream[Event] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def happened(self, seconds: float) -> bool:
        """Whether anything did within that time."""
        try:
            if self._stream is None:
                self._stream = self._client.watch()
            return self._taken(self._stream, seconds)
        except (AixtivError, StopIteration):
            self._close()
            time.sleep(seconds)
            return True

    @staticmethod
    def _taken(stream: Stream[Event], seconds: float) -> bool:
        """All that is there: a restart of the machine can bring a hundred events at once, which are one change."""
        happened = False
        while select.select([stream], [], [], 0 if happened else seconds)[0]:
            next(stream)
            happened = True
        return happened

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
