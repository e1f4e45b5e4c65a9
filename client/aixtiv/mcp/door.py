"""The way to the server, through the daemon: each call with a ticket, again after a restart or a sign-in."""

import threading
import time
from collections.abc import Callable
from typing import Final

from aixtiv import show
from aixtiv.client import Client
from aixtiv.failures import AixtivError, Denied, HungUp, NoAccount, NoDaemon, NotHeard, NotRunning, SignInNeeded
from aixtiv.mcp.servers import Server
from aixtiv.mcp.signing import Challenge, SigningIn, challenge
from aixtiv.mcp.standing import Standing
from aixtiv.relayed import Relayed

PATIENCE: Final = 10.0  # seconds for a daemon that is just being started again
_PAUSE: Final = 0.2

Headers = tuple[tuple[str, str], ...]


class Door:
    def __init__(
        self, server: Server, signing: SigningIn, client: Callable[[], Client], quiet: Callable[[], Client]
    ) -> None:
        """`client`: makes one that may start the daemon; `quiet`: one that does not."""
        self.server = server
        self.standing = Standing(quiet)
        self._signing = signing
        self._client = client
        self._quiet = quiet
        self._making = threading.Lock()
        self._ticket = ""

    def call(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None = None,
        *,
        asks: bool = True,
        again: bool = False,
        first_byte: float | None = None,
    ) -> Relayed:
        """The answer, once it has begun. Raises AixtivError.

        `asks`: somebody waits for it: a person may be asked to sign in, and a daemon started. `again`: it changes
        nothing, and may be sent a second time.
        """
        while True:
            seen = self._signing.count
            try:
                with (self._client if asks else self._quiet)() as client:
                    until = time.monotonic() + (PATIENCE if asks else 0)
                    answer = self._reached(
                        client, until, method, path, headers, body, again=again, first_byte=first_byte
                    )
            except (NoAccount, SignInNeeded) as failure:
                if not asks:
                    raise
                if isinstance(failure, SignInNeeded):  # else nobody ever was: that is no news
                    show.note(failure.sentence)
                self._signing.renew(seen)
                continue
            if answer.status == 401 and asks:
                self._signing.renew(seen, _challenged(answer))
            elif answer.status == 403 and asks and challenge(answer.headers).error == "insufficient_scope":
                self._signing.step_up(seen, _challenged(answer))
            else:
                return answer

    def _reached(
        self,
        client: Client,
        until: float,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        *,
        again: bool,
        first_byte: float | None,
    ) -> Relayed:
        """A daemon that is not there, or about to be another, is waited for. Raises AixtivError."""
        renewed = False
        while True:
            ticket = ""
            try:
                ticket = self._held(client)
                return client.relay(
                    path,
                    method=method,
                    headers=headers,
                    body=body,
                    ticket=ticket,
                    endpoint=self.server.origin,
                    fallback="none",
                    first_byte=first_byte,
                )
            except Denied as failure:
                if renewed or not ticket or "revoked" in failure.sentence:
                    raise
                renewed = True
                self._forget(ticket)  # a daemon that was started anew knows nothing of it
            except (NotHeard, NotRunning) as failure:
                _pause(until, failure)
            except HungUp as failure:
                if not again:
                    raise NoDaemon("the daemon ended before the server's answer came", hint=failure.hint) from None
                _pause(until, failure)
            except AixtivError as failure:
                if failure.code != "busy" or not failure.retry:
                    raise
                _pause(until, failure)

    def _held(self, client: Client) -> str:
        """The ticket of this bridge, which dies with it."""
        with self._making:
            if not self._ticket:
                made = client.ticket(self.server.whose, name=f"mcp {self.server.name}"[:100])
                self._ticket = made.ticket.reveal()
            return self._ticket

    def _forget(self, ticket: str) -> None:
        with self._making:
            if self._ticket == ticket:
                self._ticket = ""


def _pause(until: float, failure: AixtivError) -> None:
    if time.monotonic() > until:
        raise failure
    time.sleep(_PAUSE)


def _challenged(answer: Relayed) -> Challenge:
    answer.close()
    return challenge(answer.headers)
