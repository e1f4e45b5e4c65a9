"""Signing in while a client waits: the browser opens as `aixtiv login` opens it, and stdout hears nothing of it."""

import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aixtiv import browser, show, surroundings
from aixtiv.client import Client
from aixtiv.failures import AixtivError, SignInFailed, SignInNeeded
from aixtiv.mcp import servers
from aixtiv.mcp.servers import Server
from aixtiv.stream import Stream
from aixtiv.words import span
from aixtiv_protocol.challenge import read_challenge
from aixtiv_protocol.replies import SignedIn, SignInStarted

MOST: Final = 3  # sign-ins of one bridge, whether a person is asked or the account needs none …
_WITHIN: Final = 600.0  # … in so many seconds
STEPS: Final = 2  # of them for a scope that was missing, in all of a bridge's life

_TICK: Final = 0.5  # seconds between looks at the browser's child, while it lives
_NEW: Final = 15.0  # seconds in which whoever began a sign-in has a browser open for it
_LIFE: Final = 600.0  # of a sign-in, and a little more than that is waited
_LONGEST: Final = 4096  # characters of a challenge


class Challenge(Struct, frozen=True):
    """A server's `WWW-Authenticate` (RFC 6750 §3)."""

    text: str = ""
    error: str = ""
    scopes: tuple[str, ...] = ()


def challenge(headers: tuple[tuple[str, str], ...]) -> Challenge:
    """Of an answer's headers, the first that speaks of a Bearer."""
    for name, value in headers:
        if name.lower() == "www-authenticate" and (said := read_challenge(value[:_LONGEST])):
            return Challenge(value[:_LONGEST], said.error, said.scope)
    return Challenge()


class SigningIn:
    """One at a time, however many requests wait for it."""

    def __init__(self, server: Server, environ: Mapping[str, str], client: Callable[[], Client]) -> None:
        self._server = server
        self._environ = environ
        self._client = client
        self._turn = threading.Lock()
        self._times: list[float] = []  # when one was begun
        self._steps = 0
        self._asked: frozenset[str] = frozenset()  # scopes, by this bridge
        self.count = 0  # that succeeded

    def renew(self, seen: int, why: Challenge = Challenge()) -> None:  # noqa: B008  # frozen
        """Returns when somebody is signed in. `seen`: `count` before the call that needs it. Raises AixtivError."""
        with self._turn:
            if self.count == seen:
                self._sign_in(why, ())

    def step_up(self, seen: int, why: Challenge) -> None:
        """With the scopes that are missing on top of those there are. Raises AixtivError."""
        with self._turn:
            if self.count != seen:
                return
            has = self._granted()
            wanted = tuple(dict.fromkeys((*has, *why.scopes)))
            if not why.scopes or set(why.scopes) <= self._asked or self._steps >= STEPS:
                missing = f"the scope {' '.join(why.scopes)}" if why.scopes else "another scope"
                raise SignInNeeded(
                    f"{self._server.name} wants {missing} for that, and does not take what a sign-in brought",
                    hint=self._server.login,
                )
            self._steps += 1
            self._asked |= set(wanted)
            self._sign_in(why, wanted)

    def _granted(self) -> tuple[str, ...]:
        with self._client() as client:
            found = (account for account in client.accounts() if account.name == self._server.whose)
            return next((account.scopes for account in found), ())

    def _sign_in(self, why: Challenge, scopes: tuple[str, ...]) -> None:
        server = self._server
        self._times = [at for at in self._times if at > time.monotonic() - _WITHIN]
        if len(self._times) >= MOST:
            raise SignInNeeded(
                f"{server.name} has been signed in to {MOST} times within {span(_WITHIN)}, and still wants another",
                hint=server.login,
            )
        place = surroundings.here()
        if not (place.in_front or place.opener):
            show.note(f"{server.name} needs a sign-in, and no browser can be opened: {place.sentence}")
            show.hint(server.login)
            raise SignInNeeded(f"{server.name} needs a sign-in, which no browser can be opened for", hint=server.login)
        with self._client() as client, self._login(client, why, scopes) as stream:
            done = self._waited(stream, place)
        self.count += 1
        show.note(f"signed in to {done.account.name}{f': {done.note}' if done.note else ''}")

    def _login(self, client: Client, why: Challenge, scopes: tuple[str, ...]) -> Stream[SignInStarted | SignedIn]:
        if servers.is_lent(self._server, client):
            return client.login(self._server.whose, scopes=scopes)
        terms = servers.terms(self._server, self._environ)
        servers.check_complete(self._server, terms, terms.settings.client_id)
        for sentence in terms.missing:
            show.note(sentence)
        return client.login(
            self._server.whose,
            settings=replace(terms.settings, challenge=why.text),
            scopes=scopes or terms.scopes,
            endpoint=self._server.origin,
        )

    def _waited(self, stream: Stream[SignInStarted | SignedIn], place: surroundings.Surroundings) -> SignedIn:
        started = next(stream, None)
        self._times.append(time.monotonic())
        if isinstance(started, SignedIn):  # nothing had to be asked of a person
            return started
        if started is None:
            raise SignInFailed(hint=self._server.login)
        show.note(
            f"to sign in to {self._server.name}, finish in the browser within {span(started.expires_in)}, or open"
        )
        show.plain(started.url)
        just_begun = started.joined and started.expires_in > _LIFE - _NEW
        child = None if just_begun else browser.open_page(started.url, place.opener)
        until = time.monotonic() + started.expires_in + _NEW
        while time.monotonic() < until:
            if select.select([stream], [], [], _TICK if child else _NEW)[0]:
                if isinstance(done := next(stream, None), SignedIn):
                    return done
                break
            child = self._looked_at(child, place)
        raise SignInFailed("the sign-in was not finished in time", hint=self._server.login)

    def _looked_at(
        self, child: "subprocess.Popen[bytes] | None", place: surroundings.Surroundings
    ) -> "subprocess.Popen[bytes] | None":
        """Raises SignInNeeded where it found no browser: nobody would ever finish what nobody sees."""
        if child is None or child.poll() is None:
            return child
        if child.returncode and not place.opener:  # explorer.exe ends with 1 whatever it did
            show.hint(self._server.login)
            sentence = f"{self._server.name} needs a sign-in, and no browser could be opened"
            raise SignInNeeded(sentence, hint=self._server.login)
        return None


def sentence(failure: AixtivError) -> str:
    """For a client, which shows one text."""
    return f"{failure.sentence}; run: {failure.hint}" if failure.hint else failure.sentence
