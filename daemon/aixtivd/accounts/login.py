"""Signing in: code with PKCE by loopback or paste, and the device grant, at the same time; the first wins (D10)."""

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Final, Protocol, assert_never

from aixtiv_protocol import replies, requests
from aixtivd.accounts import codes
from aixtivd.accounts.book import is_name
from aixtivd.accounts.events import Events
from aixtivd.accounts.signin import LIFE, SignIn, told
from aixtivd.accounts.typed import login_command
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import (
    AixtivError,
    BadRequest,
    Misconfigured,
    NoAccount,
    NoProvider,
    Refused,
    SignInFailed,
    Unreachable,
)
from aixtivd.oauth import authorization, callback, device, outcomes, page, registration
from aixtivd.oauth import response as responses
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web

_MOST_UNANSWERED: Final = 256
"""Registered clients that are remembered: of one that is forgotten, a person hears in the browser once more."""

_Registered = tuple[str, str, str, str]


class Owner(Protocol):
    """Who gets the tokens."""

    async def sign_in(self, sign_in: SignIn, tokens: outcomes.Tokens) -> replies.SignedIn:
        """Check, commit, serve, where the response was in order. Raises AixtivError."""
        ...

    async def turn_down(self, sign_in: SignIn, tokens: outcomes.Tokens, *, beside: bool) -> None:
        """They came too late. Raises nothing."""
        ...


class SignIns:
    """Every sign-in that is open, one an account."""

    def __init__(
        self, endpoint: Endpoint, web: Web, work: Work, events: Events, clock: Clock, owner: Callable[[], Owner]
    ) -> None:
        self._web = web
        self._endpoint = endpoint
        self._work = work
        self._events = events
        self._clock = clock
        self._owner = owner
        self._open: dict[str, SignIn] = {}
        self._unanswered: dict[_Registered, None] = {}  # with which nobody came to an end; the newest last

    @cached_property
    def _codes(self) -> "codes.Codes":
        return codes.Codes(self._endpoint, self._web, self._work, self._clock, self._take)

    def of(self, account: str) -> SignIn | None:
        """The one that waits for its person; None where there is none."""
        sign_in = self._open.get(account)
        return sign_in if sign_in and not sign_in.done.is_set() else None

    @property
    def any(self) -> bool:
        """Whether one is open."""
        return any(not sign_in.done.is_set() for sign_in in self._open.values())

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

    async def started(self, sign_in: SignIn, asked: requests.Login, *, joined: bool) -> replies.SignInStarted:
        """Once its address is known; with a code beside it, where that was asked for and can be had.

        Raises what it failed with, and where a code is wanted and there is none NoProvider or SignInFailed.
        """
        await sign_in.ready.wait()
        if sign_in.failure:
            await sign_in.outcome()
        if asked.device:
            add = self._codes.add if asked.device == "wanted" else self._codes.offer
            await self._work.run(add, sign_in)
        if asked.device == "wanted" and sign_in.code is None and sign_in.open:
            if not joined:
                self.end(sign_in.account, "the code that was wanted cannot be had")
            raise codes.none_there(sign_in)
        return sign_in.started(self._clock, joined=joined)

    async def redeem_pasted(self, account: str, response: "responses.Response") -> replies.SignedIn:
        """Raises SignInFailed or NoAccount where the pasted text belongs to no open sign-in."""
        sign_in = self.of_pasted(account, response)
        page = await self._work.run(self._redeem, sign_in, response)
        if not page.ok and not sign_in.done.is_set():
            raise SignInFailed(page.sentence.removesuffix("."), hint=page.command or sign_in.again)
        return await sign_in.outcome()

    def abandon(self, reason: str) -> None:
        """Ends every open sign-in that has not yet taken its code to the provider."""
        for account in list(self._open):
            self.end(account, reason)

    def end(self, account: str, reason: str) -> bool:
        """Ends the open sign-in of one account; False where there is none, or its code is with the provider already."""
        sign_in = self.of(account)
        if sign_in is None:
            return False
        if sign_in.used:
            sign_in.ending = True
            return False
        sign_in.fail(SignInFailed(reason, hint=sign_in.again))
        return True

    async def _attend(self, sign_in: SignIn, port: int) -> None:
        try:
            if 0 < sign_in.client.secret_ends_at <= self._clock.wall() or _registered(sign_in) in self._unanswered:
                _register_anew(sign_in)  # a server that does not know it says so to the browser, and not to us
            try:
                await self._listen(sign_in, port)
            except callback.PortTaken:
                if port or not _register_anew(sign_in):
                    raise
                await self._listen(sign_in, 0)
        except callback.PortTaken as taken:
            sign_in.fail(self._by_ourselves(taken) or taken)
        except NoProvider as error:
            sign_in.fail(
                SignInFailed(error.sentence, hint=login_command(sign_in.asked, sign_in.account, error.options))
            )
        except Exception as error:  # noqa: BLE001  # a defect here must be told to whoever waits for this sign-in
            sign_in.fail(told(error, sign_in))
        finally:
            if self._open.get(sign_in.account) is sign_in:
                del self._open[sign_in.account]
            sign_in.gone.set()
            sign_in.ready.set()

    async def _listen(self, sign_in: SignIn, port: int) -> None:
        """Until it is over. Where it listens decides what is registered, since servers compare that exactly."""
        if not callback.listens(sign_in.client):
            await self._begun(sign_in, sign_in.client.redirect_uri, 0)
            return
        listener = callback.CallbackListener(sign_in.client, port, lambda response: self._answer(sign_in, response))
        async with listener:
            await self._begun(sign_in, listener.redirect_uri, listener.port)

    async def _begun(self, sign_in: SignIn, redirect_uri: str, port: int) -> None:
        sign_in.become(await registration.registered(self._web, sign_in.client, redirect_uri))
        self._address(sign_in, redirect_uri, port)
        sign_in.ready.set()
        await self._until_done(sign_in)

    def _by_ourselves(self, taken: "callback.PortTaken") -> SignInFailed | None:
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
        sign_in.url = authorization.authorization_url(
            sign_in.client, redirect_uri, sign_in.state, sign_in.nonce, sign_in.verifier, sign_in.client.scopes
        )

    async def _until_done(self, sign_in: SignIn) -> None:
        await self._clock.pause(sign_in.done, LIFE)
        if not sign_in.done.is_set() and sign_in.client.registration_endpoint:
            self._unanswered[_registered(sign_in)] = None
            if len(self._unanswered) > _MOST_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]
        sign_in.fail(
            SignInFailed(
                f"nobody finished the sign-in to {sign_in.account} within ten minutes",
                hint=sign_in.again,
            )
        )

    async def _answer(self, sign_in: SignIn, response: "responses.Response") -> "page.Page":
        return await self._work.run(self._redeem, sign_in, response)

    async def _redeem(self, sign_in: SignIn, response: "responses.Response") -> "page.Page":
        """Takes one authorization response; what is shown for it is written only after the grant is on disk."""
        # Who copied a lone code from a page vouches for it, and PKCE binds it to this sign-in. One at a time.
        if _is_lone(response):
            async with sign_in.trying:
                return await self._answered(sign_in, response) if sign_in.open else _answered_already()
        if not authorization.same_state(response.state, sign_in.state):
            return page.Page("Not this sign-in", "This answer belongs to another sign-in.", ok=False)
        return await self._answered(sign_in, response) if await sign_in.still_open() else _answered_already()

    async def _answered(self, sign_in: SignIn, response: "responses.Response") -> "page.Page":
        settled = await self._settled(sign_in, lambda: self._exchange(sign_in, response))
        if isinstance(settled, AixtivError):
            return page.Page("Not signed in", f"{settled.sentence}.", ok=False, command=settled.hint or sign_in.again)
        who = settled.account.who or settled.account.subject
        sentence = f"{sign_in.account} is signed in{f' as {who}' if who else ''}{settled.note and '; '}{settled.note}."
        return page.Page("Signed in", sentence, ok=True)

    async def _take(self, sign_in: SignIn, answered: "codes.Answered") -> None:
        """What polling for a code brought; where another way was first, nobody is to have it."""
        if not await sign_in.still_open():
            if isinstance(answered, outcomes.Granted):
                beside = sign_in.used or any(other.used for other in self._open.values())
                await self._owner().turn_down(sign_in, answered.tokens, beside=beside)
            return
        sign_in.by_code = True

        async def tokens() -> outcomes.Tokens:
            if isinstance(answered, device.Over):
                raise SignInFailed(answered.reason, hint=sign_in.again)
            return _tokens(sign_in, answered)

        await self._settled(sign_in, tokens)

    async def _settled(
        self, sign_in: SignIn, tokens: Callable[[], Awaitable[outcomes.Tokens]]
    ) -> replies.SignedIn | AixtivError:
        """How it ended: from here on nothing else may end it, unless what was tried turns out to be no code."""
        sign_in.used = True
        try:
            done = await self._owner().sign_in(sign_in, await tokens())
        except Exception as error:  # noqa: BLE001  # a defect, too, has to end this sign-in for whoever waits for it
            failure = told(error, sign_in)
            self._events.exchange_failed(sign_in.account, failure.sentence)
            if sign_in.used:
                sign_in.fail(failure)
            return failure
        sign_in.succeed(done)
        return done

    async def _exchange(self, sign_in: SignIn, response: "responses.Response") -> outcomes.Tokens:
        again = sign_in.again
        client = sign_in.client
        if not response.shown:
            authorization.check_issuer(client, response.iss)
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
        if _is_lone(response) and isinstance(outcome, outcomes.NeedsSignIn) and not sign_in.ending:
            sign_in.used = False  # the clipboard may have held anything: state and verifier are as good as before
            raise SignInFailed(
                f"the provider did not take the code: {outcome.reason}; the sign-in stays open for the right one",
                hint=f"aixtiv callback {sign_in.account}",
            )
        return _tokens(sign_in, outcome)

    def of_pasted(self, account: str, response: "responses.Response", may: Callable[[str], bool] = bool) -> SignIn:
        """`may`: which accounts may be meant; every name is true. Raises as `redeem_pasted` does."""
        candidates = [one for one in self._open.values() if not one.done.is_set() and may(one.account)]
        if account:
            candidates = [sign_in for sign_in in candidates if sign_in.account == account]
        if not candidates:
            name = account if is_name(account) else ""
            which = f"no sign-in to {name}" if name else "no sign-in"
            raise NoAccount(f"{which} is open; one stays open for ten minutes", hint=f"aixtiv login {name or 'NAME'}")
        if response.state or not response.shown:
            matching = [one for one in candidates if authorization.same_state(response.state, one.state)]
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


def _registered(sign_in: SignIn) -> _Registered:
    """Which client it is: what another server calls one of its own by that id is another."""
    client = sign_in.client
    return sign_in.account, client.issuer, client.token_endpoint, client.client_id


def _register_anew(sign_in: SignIn) -> bool:
    """Whether it can: a client that its person has set up stays as it is."""
    client = registration.forgotten(sign_in.client)
    if client is None:
        return False
    sign_in.become(client)
    return True


def _answered_already() -> "page.Page":
    return page.Page("Already answered", "This sign-in has had its answer.", ok=False, command="aixtiv status")


def _is_lone(response: "responses.Response") -> bool:
    """A code that a person copied from a page, without its state."""
    return response.shown and not response.state


def _tokens(sign_in: SignIn, outcome: outcomes.Outcome) -> outcomes.Tokens:
    """Raises what any other answer than tokens means."""
    match outcome:
        case outcomes.Granted():
            return outcome.tokens
        case outcomes.TryAgain():
            raise Unreachable(f"{sign_in.account}: {outcome.reason}", hint=sign_in.again)
        case outcomes.NeedsSignIn():
            raise SignInFailed(f"the provider did not take the code: {outcome.reason}", hint=sign_in.again)
        case outcomes.Misconfigured():
            raise Misconfigured(
                f"{sign_in.account}: {outcome.reason}",
                hint=login_command(
                    sign_in.asked,
                    sign_in.account,
                    "--replace" if sign_in.client.registration_endpoint else "--client-id ID",
                ),
            )
        case outcomes.Refused() | outcomes.Rotated():
            raise Refused(f"{sign_in.account}: {outcome.reason}", hint=sign_in.again)
        case _:
            assert_never(outcome)
