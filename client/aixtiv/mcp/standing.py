"""Streams that stand open for whatever a server may say: let go before the daemon ends, which waits for answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aixtiv.client import Client
from aixtiv.failures import AixtivError, Denied
from aixtiv.relayed import Relayed

_ENDING: Final = ("restarting", "stopping")
_PAUSE: Final = 1.0  # seconds between looks for a daemon
_LONGEST: Final = 60.0  # seconds for which nothing is opened, whatever was heard


class Standing:
    def __init__(self, client: Callable[[], Client]) -> None:
        """`client`: one that starts no daemon: whoever ended it meant it."""
        self._client = client
        self._open: set[Relayed] = set()
        self._changing = threading.Lock()
        self._stays = threading.Event()  # the daemon does, as far as is known
        self._stays.set()
        self._watching: threading.Thread | None = None

    @contextmanager
    def held(self, stream: Relayed) -> Iterator[Relayed]:
        """Until the daemon is to end: then it is cut."""
        with self._changing:
            if self._watching is None:
                self._watching = threading.Thread(target=self._watch, daemon=True)
                self._watching.start()
            self._open.add(stream)
        try:
            yield stream
        finally:
            with self._changing:
                self._open.discard(stream)

    def wait(self) -> None:
        """Until there is a daemon that stays."""
        self._stays.wait(_LONGEST)

    def _watch(self) -> None:
        while True:
            try:
                with self._client() as client, client.watch() as events:
                    self._stays.set()
                    for event in events:
                        if event.event in _ENDING:
                            self._let_go()
            except Denied:  # by a rule: then the daemon waits for us as for anybody
                self._stays.set()
                return
            except AixtivError:
                pass
            time.sleep(_PAUSE)

    def _let_go(self) -> None:
        with self._changing:
            self._stays.clear()
            for stream in self._open:
                stream.cut()
