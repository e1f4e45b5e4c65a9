"""The real npm oidc-provider as a process: started, asked, listened to, and ended."""

import base64
import json
import secrets
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from joserfc.jwk import RSAKey

from peers.issuer import Issuer
from peers.presence import OIDC, absent, why_no_oidc_provider

PATIENCE: Final = 30.0  # seconds for anything the server should do at once, on a machine that may be busy

Line = dict[str, Any]  # one JSON line of server.mjs


class Provider(Issuer):
    """The server while its block runs. Every command to it, and every event of it, is a JSON line."""

    def __init__(self, process: "subprocess.Popen[str]", secret: str) -> None:
        self.events: list[Line] = []
        self._process = process
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="oidc-provider", daemon=True)
        self._reader.start()
        super().__init__(self.wait_for("ready")["issuer"], secret)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.events.append({"event": "ended"})
            self._news.notify_all()

    def wait_for(self, event: str, times: int = 1, **facts: str) -> Line:
        """The `times`-th event of that name and those facts, as soon as it happens. Raises TimeoutError."""

        def there() -> Line | None:
            found = self._found(event, **facts)
            return found[times - 1] if len(found) >= times else None

        return self._wait(there, f"{event} {facts or ''} × {times}")

    def _wait(self, there: Callable[[], Line | None], what: str) -> Line:
        with self._news:
            self._news.wait_for(lambda: there() or self._ended(), timeout=PATIENCE)
            if (line := there()) is None:
                raise TimeoutError(f"oidc-provider said no {what}; it said {[line['event'] for line in self.events]}")
            return line

    def _ended(self) -> bool:
        return any(line["event"] == "ended" for line in self.events)

    def seen(self, event: str, **facts: str) -> list[Line]:
        """Every event so far of that name and with those facts; the server is asked first whether there is more."""
        self.tell()
        return self._found(event, **facts)

    def _found(self, event: str, **facts: str) -> list[Line]:
        return [line for line in self.events if line["event"] == event and facts.items() <= line.items()]

    @property
    def refreshes(self) -> int:
        return len(self.seen("granted", grant="refresh_token"))

    @property
    def reuses(self) -> int:
        """How often a refresh token was used a second time: the server then revokes the whole grant."""
        return len(self.seen("reuse"))

    @property
    def issued(self) -> set[str]:
        """Every secret that passed so far: tokens, codes, code verifiers, the confidential clients' secret."""
        self.tell()
        return {self.secret} | {text for line in self.events for text in line.get("secrets", ())}

    def tell(self, **told: float | str) -> None:
        """New lifetimes (server.mjs), or `skip`: seconds to move its clock ahead, so that no test waits for an expiry.

        When this returns, all that the server said before is in `events`.
        """
        before = len(self._found("obeyed"))
        assert self._process.stdin
        print(json.dumps(told), file=self._process.stdin, flush=True)
        self.wait_for("obeyed", before + 1)

    def post(self, path: str, **form: str) -> tuple[int, Line]:
        """What the server answers to the client `basic` (RFC 6749 §2.3.1): status and JSON."""
        request = urllib.request.Request(f"{self.issuer}{path}", urllib.parse.urlencode(form).encode())
        credentials = base64.b64encode(f"basic:{self.secret}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or "{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or "{}")

    def active(self, token: str) -> bool:
        """Introspection (RFC 7662), as an API would ask it."""
        _, answer = self.post("/token/introspection", token=token)
        return bool(answer["active"])


@contextmanager
def oidc_provider(**told: str | int) -> Iterator[Provider]:
    """A server for the length of the block. `host`, `accessToken`, `code`, `refreshToken`: see server.mjs."""
    if why := why_no_oidc_provider():
        absent(why)
    with started(**told) as provider:
        yield provider


@cache
def _signing_key() -> dict[str, Any]:
    """One for all servers of this run, as a JWK."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "tests"}, auto_kid=False)
    return key.as_dict(private=True)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:  # else leaving `with` would wait for ever
        process.kill()
        raise


@contextmanager
def started(**told: str | int) -> Iterator[Provider]:
    """As `oidc_provider`, for callers who have asked `why_no_oidc_provider` themselves."""
    secret = secrets.token_urlsafe(24)
    node = shutil.which("node") or "node"
    process = subprocess.Popen(
        [node, "server.mjs", json.dumps({**told, "secret": secret, "key": _signing_key()})],
        cwd=OIDC,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield Provider(process, secret)
        finally:
            process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            _end(process)
