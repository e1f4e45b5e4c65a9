"""The authorization server as a process, and how a blocking test talks to it; made like peers/provider.py."""

import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from peers import processes
from peers.authority.weather import Weather
from peers.issuer import Issuer


class Lineage(Struct, frozen=True):
    """All that came of one consent."""

    subject: str
    first: str  # the first refresh token
    live: str  # the refresh token that is good
    ended: bool


class Running(Issuer):
    """The server while its block runs."""

    def set_weather(self, *weather: Weather) -> None:
        """For the next token requests, one each, behind what is already due."""
        self._ask("/control/weather", msgspec.json.encode(weather))

    def tell(self, **settings: float | str | bool) -> None:
        """Changes Settings (grants.py) while the server runs; `end=True`: all that was granted is over."""
        self._ask("/control/settings", json.dumps(settings).encode())

    def release(self) -> None:
        """Lets the requests that hang go on."""
        self._ask("/control/release", b"")

    def calm(self) -> None:
        """No weather is due any more, and nothing hangs."""
        self._ask("/control/calm", b"")

    def renew(self) -> None:
        """As it was started, for the next test: settings, weather, counts. What it has granted stays granted."""
        self._ask("/control/renew", b"")

    def until(self, **counts: int) -> dict[str, Any]:
        """Waits until the server has heard so many `refreshes`, `requests`, or so many are `hanging`. Its state."""
        return self._ask(f"/control/state?{urllib.parse.urlencode(counts)}")

    @property
    def refreshes(self) -> int:
        return int(self.until()["refreshes"])

    @property
    def reuses(self) -> int:
        return int(self.until()["reuses"])

    @property
    def issued(self) -> set[str]:
        """Every secret that passed so far."""
        return set(self.until()["secrets"])

    @property
    def newest(self) -> str:
        """The access token that was given out last, whether or not it arrived."""
        issued: list[str] = self.until()["secrets"]
        return [secret for secret in issued if secret.startswith("at-")][-1]

    def active(self, token: str, client: str = "basic") -> bool:
        """Introspection (RFC 7662). Only a token of that very client is active for it."""
        form = {"token": token} | ({"client_id": client} if client == "native" else {})
        request = urllib.request.Request(f"{self.issuer}/introspect", urllib.parse.urlencode(form).encode())
        if client != "native":
            pair = f"{client}:{urllib.parse.quote_plus(self.secret)}"
            request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        return bool(processes.asked(request)["active"])

    def families(self, subject: str) -> list[Lineage]:
        """What became of each consent of that person, in their order."""
        found = self._ask("/control/families")["families"]
        return [msgspec.convert(said, Lineage) for said in found if said["subject"] == subject]

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        return processes.asked(urllib.request.Request(f"{self.issuer}{path}", body))


@contextmanager
def authorization_server(*options: str) -> Iterator[Running]:
    """A server process for the length of the block. `options`: as `python -m peers.authorization --help` lists them."""
    with processes.running("peers.authorization", *options) as ready:
        yield Running(ready["issuer"], ready["secret"])
