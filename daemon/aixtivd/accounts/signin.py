"""One sign-in under way: what it was begun with, which ways lead to its end, and that end."""

from typing import Final

import anyio
import msgspec
from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.accounts.grant import Bound
from aixtivd.accounts.typed import login_command
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, SignInFailed
from aixtivd.oauth import authorization, device, resource
from aixtivd.oauth.client import Client

LIFE: Final = 600.0  # seconds a sign-in stays open: what RFC 6749 §4.1.2 allows a code at most


class OpenCode(Struct, frozen=True):
    """The code that a person types on another machine, while it is good."""

    shown: "device.DeviceCode"
    ends_at: float  # steady


class SignIn:
    """Its secrets live only here and end with it."""

    def __init__(self, account: str, client: Client, terms: Bound, asked: requests.Login) -> None:
        self.account = account
        self.client = client  # the one of the terms: there is one where a person signs in
        self.terms = terms  # as they will be bound into the grant, with the scopes asked for now
        self.asked = asked
        self.again = login_command(asked, account)
        self.state = authorization.new_state()
        self.nonce = authorization.new_nonce()
        self.verifier: Secret = authorization.new_verifier()
        self.url = ""
        self.redirect_uri = ""
        self.port = 0
        self.code: OpenCode | None = None
        self.by_code = False  # it ended by that, which has no place for a nonce
        self.code_failure: AixtivError | None = None  # why there is no code though somebody asked for one
        self.coding = anyio.Lock()  # one caller at a time asks for the code
        self.expires_at = 0.0  # steady
        self.used = False  # an answer has been taken to the token endpoint, or came from there
        self.trying = anyio.Lock()  # of who has a lone code at the token endpoint, which may be none
        self.ending = False  # somebody wanted to end it meanwhile
        self.ready = anyio.Event()  # its address is known, or it failed before
        self.done = anyio.Event()
        self.gone = anyio.Event()  # its listener is closed, too
        self.result: replies.SignedIn | None = None
        self.failure: AixtivError | None = None

    @property
    def open(self) -> bool:
        """Whether any of its ways may still end it."""
        return not (self.used or self.done.is_set())

    async def still_open(self) -> bool:
        """The same, once a lone code that is being tried has turned out to be one or none."""
        async with self.trying:
            return self.open

    def suits(self, asked: requests.Login) -> bool:
        """Whether who asks for that may join this one: it says the same, or nothing in particular.

        A code beside the other ways can be had at any time: who wants one joins whoever did not.
        """
        same = msgspec.structs.replace(self.asked, account=asked.account, agent=asked.agent, device=asked.device)
        if asked in (same, requests.Login(account=asked.account, agent=asked.agent, device=asked.device)):
            return True
        return bool(asked.settings.resource and self.client.resource) and self._suits_for_resource(asked)

    def _suits_for_resource(self, asked: requests.Login) -> bool:
        """Whoever wants its token, by whichever call that it turned away, gets it by the one that is open."""
        settings = asked.settings
        plain = requests.ClientSettings(
            resource=settings.resource,
            challenge=settings.challenge,
            client_id=settings.client_id,
            client_id_metadata=settings.client_id_metadata,
        )
        if settings != plain or asked.replace or asked.source is not None or asked.port not in {0, self.port}:
            return False
        if settings.client_id not in {"", self.client.client_id} or not set(asked.scopes) <= set(self.client.scopes):
            return False
        return resource.covers(self.client.resource, settings.resource)

    def become(self, client: Client) -> None:
        """It has got an id, or lost one that was registered."""
        self.client = client
        self.terms = msgspec.structs.replace(self.terms, client=client)

    def started(self, clock: Clock, *, joined: bool) -> replies.SignInStarted:
        """What a person is shown."""
        ends = [self.expires_at, self.code.ends_at] if self.code else [self.expires_at]
        code = self.code.shown if self.code else None
        return replies.SignInStarted(
            account=self.account,
            url=self.url,
            redirect_uri=self.redirect_uri,
            port=self.port,
            expires_in=max(round(min(ends) - clock.steady()), 0),
            joined=joined,
            verification_uri=code.verification_uri if code else "",
            verification_uri_complete=code.verification_uri_complete if code else "",
            user_code=code.user_code if code else "",
            device_problem=self.code_failure.sentence if self.code_failure else "",
        )

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


def told(error: Exception, sign_in: SignIn) -> AixtivError:
    """The failure that a person is told of."""
    if isinstance(error, AixtivError):
        return error
    log.error("sign-in", account=sign_in.account, exception=type(error).__name__)
    return AixtivError("the sign-in hit a defect in aixtiv", hint=sign_in.again)
