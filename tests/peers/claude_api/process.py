"""The stand-in for Claude as a process, and how a blocking test talks to it."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from peers import processes
from peers.claude_api.weather import Weather


class RunningClaude:
    """The stand-in while its block runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_weather(self, *weather: Weather) -> None:
        """For the next requests, one each, behind what is already due."""
        self._ask("weather", msgspec.json.encode(weather))

    def accept(self, word: str, seconds: float = 1e9) -> None:
        self._tell(accept=[word, seconds])

    def accept_prefix(self, prefix: str) -> None:
        self._tell(accept_prefix=[prefix])

    def accept_only(self, *words: str) -> None:
        self._tell(accept_only=words)

    def revoke(self, *words: str) -> None:
        self._tell(revoke=words)

    def reply(self, text: str) -> None:
        """What every message is answered with from now on."""
        self._tell(reply=text)

    def release(self) -> None:
        """Lets the answers that hang or are silent go on."""
        self._ask("release", b"")

    def close_idle(self) -> None:
        self._ask("close-idle", b"")

    def renew(self) -> None:
        """As it was started, for the next test. What was accepted by --accept-prefix must be said again."""
        self._ask("renew", b"")

    def until(self, **counts: int) -> dict[str, Any]:
        """Waits until so many `requests` were heard, are `silent`, `over` or `gone`. The state then."""
        return self._ask(f"state?{urllib.parse.urlencode(counts)}")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was heard: Heard.shown of each."""
        heard: list[dict[str, Any]] = self.until()["requests"]
        return heard

    def _tell(self, **said: Any) -> None:
        self._ask("tell", json.dumps(said).encode())

    def _ask(self, what: str, body: bytes | None = None) -> dict[str, Any]:
        return processes.asked(urllib.request.Request(f"{self.url}/control/{what}", body))


def sent(request: dict[str, Any], name: str) -> str:
    """The values of that header in one of `requests`, joined; empty: none."""
    return ", ".join(value for said, value in request["headers"] if said == name)


@contextmanager
def claude_process(*options: str) -> Iterator[RunningClaude]:
    """A process for the length of the block. `options`: as `python -m peers.claude --help` lists them."""
    with processes.running("peers.claude", *options) as ready:
        yield RunningClaude(ready["url"])
