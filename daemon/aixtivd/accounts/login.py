"""Signing in: authorization code with PKCE, loopback and paste at the same time, the first valid `state` wins (D10)."""

from collections.abc import Awaitable, Callable
from typing import Final, assert_never

import anyio
import msgspec

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.accounts.book import is_name
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Bound
from aixtivd.accounts.typed import login_command
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import (
    AixtivError,
    BadRequest,
    Misconfigured,
    NoAccount,
    Refused,
    SignInFailed,
    Unreachable,
)
from aixtivd.oauth import outcomes
from aixtivd.oauth.authorization import authorization_url, check_issuer, new_nonce, new_state, new_verifier, same_state
from aixtivd.oauth.callback import CallbackListener, PortTaken, listens
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.page import Page
from aixtivd.oauth.response import Response

LIFE: Final = 600.0  # seconds a sign-in stays open: what RFC 6749 §4.1.2 allows a code at most

Finish = Callable[["SignIn", outcomes.Tokens], Awaitable[replies.SignedIn]]
"""What the owner does with tokens whose response was in order: check, commit, serve. Raises AixtivError."""


class SignIn:
    """One sign-in under way. Its secrets live only here and end with it."""

    def __init__(self, account: str, client: Client, terms: Bound, asked: requests.Login) -> None:
        self.account = account
        self.client = client  # the one of the terms: there is one where a person signs in
        self.terms = terms  # as they will be bound into the grant, with the scopes asked for now
        self.asked = asked
        self.again = login_command(asked, account)
        self.state = new_state()
        self.nonce = new_nonce()
        self.verifier: Secret = new_verifier()
        self.url = ""
        self.redirect_uri = ""
        self.port = 0
        self.expires_at = 0.0  # steady
        self.used = False  # a code has been taken to the token endpoint
        self.ready = anyio.Event()  # its address is known, or it failed before
        self.done = anyio.Event()
        self.gone = anyio.Event()  # its listener is closed, too
        self.result: replies.SignedIn | None = None
        self.failure: AixtivError | None = None

    def suits(self, asked: requests.Login) -> bool:
        """Whether who asks for that may join this one: it says the same, or nothing in particular."""
        same = msgspec.structs.replace(self.asked, account=asked.account, agent=asked.agent)
        return asked in (same, requests.Login(account=asked.account, agent=asked.agent))

    def succeed(self, result: replies.SignedIn) -> None:
        self.result = result
        self.done.set()

    def fail(self, failure: AixtivError) -> None:
        if not self.done.is_set():
            self.failure = failure
            self.done.set()

    async def outcome(self) -> replies.SignedIn:
        await self.done.wait()
        if self.result is not None:
            return self.result
        failure = self.failure or SignInFailed()
        raise type(failure)(failure.sentence, hint=failure.hint)


class SignIns:
    """Every sign-in that is open, one an account."""

    def __init__(self, endpoint: Endpoint, work: Work, events: Events, clock: Clock, finish: Finish) -> None:
        self._endpoint = endpoint
        self._work = work
        self._events = events
        self._clock = clock
        self._finish = finish
        self._open: dict[str, SignIn] = {}

    def of(self, account: str) -> SignIn | None:
        """The one that waits for its person; None where there is none."""
        sign_in = self._open.get(account)
        return sign_in if sign_in and not sign_in.done.is_set() else None

    async def vacated(self, account: str) -> None:
        """Until a sign-in that has ended has given back its port: its last page may still be on its way."""
        before = self._open.get(account)
        if before is not None and before.done.is_set():
            await before.gone.wait()

    def begin(self, sign_in: SignIn, port: int) -> None:
        """Opens the callback listener, where the redirect URI is a loopback one, in a task of its own.

        Does not wait, so that no caller's hang-up can leave a sign-in behind that nobody attends to.
        """
        self._open[sign_in.account] = sign_in
        sign_in.expires_at = self._clock.steady() + LIFE
        self._work.start(self._attend, sign_in, port)

    async def redeem_pasted(self, account: str, response: Response) -> replies.SignedIn:
        """Raises SignInFailed or NoAccount where the pasted text belongs to no open sign-in."""
        sign_in = self.of_pasted(account, response)
        page = await self._work.run(self._redeem, sign_in, response)
        if not page.ok and not sign_in.done.is_set():
            raise SignInFailed(page.sentence, hint=sign_in.again)
        return await sign_in.outcome()

    def abandon(self, reason: str) -> None:
        """Ends every open sign-in that has not yet taken its code to the provider."""
        for account in list(self._open):
            self.end(account, reason)

    def end(self, account: str, reason: str) -> bool:
        """Ends the open sign-in of one account; False where there is none, or its code is with the provider already."""
        sign_in = self.of(account)
        if sign_in is None or sign_in.used:
            return False
        sign_in.fail(SignInFailed(reason, hint=sign_in.again))
        return True

    async def _attend(self, sign_in: SignIn, port: int) -> None:
        try:
            if not listens(sign_in.client):
                self._address(sign_in, sign_in.client.redirect_uri, 0)
                sign_in.ready.set()
                await self._until_done(sign_in)
                return
            listener = CallbackListener(sign_in.client, port, lambda response: self._answer(sign_in, response))
            async with listener:
                self._address(sign_in, listener.redirect_uri, listener.port)
                sign_in.ready.set()
                await self._until_done(sign_in)
        except PortTaken as taken:
            sign_in.fail(self._by_ourselves(taken) or taken)
        except Exception as error:  # noqa: BLE001  # a defect here must be told to whoever waits for this sign-in
            sign_in.fail(_told(error, sign_in))
        finally:
            if self._open.get(sign_in.account) is sign_in:
                del self._open[sign_in.account]
            sign_in.gone.set()
            sign_in.ready.set()

    def _by_ourselves(self, taken: PortTaken) -> SignInFailed | None:
        """A redirect of one port is for one sign-in at a time: which other one has it."""
        for other in self._open.values():
            if other.port in taken.ports and not other.done.is_set():
                return SignInFailed(
                    f"port {other.port} is taken by the sign-in to {other.account}, which is still open:"
                    " finish or end that first",
                    hint=f"aixtiv callback {other.account}",
                )
        return None

    def _address(self, sign_in: SignIn, redirect_uri: str, port: int) -> None:
        sign_in.redirect_uri, sign_in.port = redirect_uri, port
        sign_in.url = authorization_url(
            sign_in.client, redirect_uri, sign_in.state, sign_in.nonce, sign_in.verifier, sign_in.client.scopes
        )

    async def _until_done(self, sign_in: SignIn) -> None:
        await self._clock.pause(sign_in.done, LIFE)
        sign_in.fail(
            SignInFailed(
                f"nobody finished the sign-in to {sign_in.account} within ten minutes",
                hint=sign_in.again,
            )
        )

    async def _answer(self, sign_in: SignIn, response: Response) -> Page:
        return await self._work.run(self._redeem, sign_in, response)

    async def _redeem(self, sign_in: SignIn, response: Response) -> Page:
        """Takes one authorization response; what is shown for it is written only after the grant is on disk."""
        again = sign_in.again
        # Who copied a lone code from a page vouches for it, and PKCE binds it to this sign-in.
        vouched = response.shown and not response.state
        if not vouched and not same_state(response.state, sign_in.state):
            return Page("Not this sign-in", "This answer belongs to another sign-in.", ok=False)
        if sign_in.used or sign_in.done.is_set():
            return Page("Already answered", "This sign-in has had its answer.", ok=False, command="aixtiv status")
        sign_in.used = True
        try:
            tokens = await self._exchange(sign_in, response)
            done = await self._finish(sign_in, tokens)
        except Exception as error:  # noqa: BLE001  # a defect, too, has to end this sign-in for whoever waits for it
            failure = _told(error, sign_in)
            self._events.exchange_failed(sign_in.account, failure.sentence)
            sign_in.fail(failure)
            return Page("Not signed in", f"{failure.sentence}.", ok=False, command=failure.hint or again)
        sign_in.succeed(done)
        who = done.account.who or done.account.subject
        sentence = f"{sign_in.account} is signed in{f' as {who}' if who else ''}{done.note and '; '}{done.note}."
        return Page("Signed in", sentence, ok=True)

    async def _exchange(self, sign_in: SignIn, response: Response) -> outcomes.Tokens:
        again = sign_in.again
        client = sign_in.client
        if not response.shown:
            check_issuer(client, response.iss)
        if response.error:
            said = f": {response.error_description}" if response.error_description else ""
            raise SignInFailed(f"the provider said {response.error}{said}", hint=again)
        if response.code is None:
            raise SignInFailed("the answer brought neither a code nor an error", hint=again)
        outcome = await self._endpoint.exchange(
            client,
            code=response.code,
            verifier=sign_in.verifier,
            redirect_uri=sign_in.redirect_uri,
            state=sign_in.state,
        )
        match outcome:
            case outcomes.Granted():
                return outcome.tokens
            case outcomes.TryAgain():
                raise Unreachable(f"{sign_in.account}: {outcome.reason}", hint=again)
            case outcomes.NeedsSignIn():
                raise SignInFailed(f"the provider did not take the code: {outcome.reason}", hint=again)
            case outcomes.Misconfigured():
                raise Misconfigured(
                    f"{sign_in.account}: {outcome.reason}",
                    hint=login_command(sign_in.asked, sign_in.account, "--client-id ID"),
                )
            case outcomes.Refused() | outcomes.Rotated():
                raise Refused(f"{sign_in.account}: {outcome.reason}", hint=again)
            case _:
                assert_never(outcome)

    def of_pasted(self, account: str, response: Response, may: Callable[[str], bool] = bool) -> SignIn:
        """`may`: which accounts may be meant; every name is true. Raises as `redeem_pasted` does."""
        candidates = [one for one in self._open.values() if not one.done.is_set() and may(one.account)]
        if account:
            candidates = [sign_in for sign_in in candidates if sign_in.account == account]
        if not candidates:
            name = account if is_name(account) else ""
            which = f"no sign-in to {name}" if name else "no sign-in"
            raise NoAccount(f"{which} is open; one stays open for ten minutes", hint=f"aixtiv login {name or 'NAME'}")
        if response.state or not response.shown:
            matching = [one for one in candidates if same_state(response.state, one.state)]
            if not matching:
                raise SignInFailed(
                    "that answer belongs to no open sign-in (its state is another)",
                    hint=candidates[0].again,
                )
            return matching[0]
        if len(candidates) > 1:
            names = ", ".join(sorted(one.account for one in candidates))
            raise BadRequest(f"several sign-ins are open ({names})", hint="aixtiv callback ACCOUNT")
        return candidates[0]


def _told(error: Exception, sign_in: SignIn) -> AixtivError:
    """The failure that a person is told of."""
    if isinstance(error, AixtivError):
        return error
    log.error("sign-in", account=sign_in.account, exception=type(error).__name__)
    return AixtivError("the sign-in hit a defect in aixtiv", hint=sign_in.again)
