"""The device grant beside a sign-in's other ways: a code is asked for, then polled until a person has typed it."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import msgspec

from aixtivd.accounts.signin import OpenCode, SignIn
from aixtivd.accounts.typed import login_command
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Misconfigured, NoProvider, SignInFailed
from aixtivd.oauth import clients, outcomes
from aixtivd.oauth.device import DeviceCode, Over, Waiting, ask_for_code, next_pause, poll
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web

Answered = outcomes.Outcome | Over

OFFERED: Final = 2.5  # seconds for a code that is only offered: meanwhile a person waits for the other ways, too

Take = Callable[[SignIn, Answered], Awaitable[None]]
"""What the owner of sign-ins does with the answer that ends one. Raises nothing."""


class Codes:
    def __init__(self, endpoint: Endpoint, web: Web, work: Work, clock: Clock, take: Take) -> None:
        self._endpoint = endpoint
        self._web = web
        self._work = work
        self._clock = clock
        self._take = take

    async def offer(self, sign_in: SignIn) -> None:
        """As `add`, but soon: a server that hangs holds nobody up who may sign in without a code."""
        with anyio.move_on_after(OFFERED) as patience:
            await self.add(sign_in)
        if patience.cancelled_caught and not sign_in.code:
            sign_in.code_failure = SignInFailed(f"the server gave no code within {OFFERED:g} seconds")

    async def add(self, sign_in: SignIn) -> None:
        """A code for that sign-in, and somebody who polls; `code_failure` says why there is none.

        At most one code a sign-in, whoever asks; where it came to nothing, the next caller asks again.
        """
        async with sign_in.coding:
            if sign_in.code or not sign_in.open:
                return
            try:
                code = await self._asked(sign_in)
            except AixtivError as failure:
                sign_in.code_failure = failure
                return
            sign_in.code_failure = None
            if code is None or not sign_in.open:
                return
            sign_in.code = OpenCode(code, self._clock.steady() + code.expires_in)
            self._work.start(self._follow, sign_in, sign_in.code)

    async def _asked(self, sign_in: SignIn) -> DeviceCode | None:
        """None: the server has no device grant that is known of."""
        url = await clients.device_endpoint(self._web, sign_in.client)
        if not url:
            return None
        client = msgspec.structs.replace(sign_in.client, device_authorization_endpoint=url)
        return await ask_for_code(self._endpoint, client, self._clock)

    async def _follow(self, sign_in: SignIn, code: OpenCode) -> None:
        """Polls until the sign-in is over, by whichever way, or the code is."""
        pause = usual = code.shown.interval
        while True:
            await self._clock.pause(sign_in.done, pause)
            if not await sign_in.still_open():
                return
            polled = await self._work.run(self._poll, sign_in, code)
            match polled:
                case Waiting() | outcomes.TryAgain() if self._clock.steady() < code.ends_at:
                    pause, usual = next_pause(pause, polled, usual)
                case Waiting() | outcomes.TryAgain() | Over(why="expired"):
                    _expired(sign_in, code)
                    return
                case _:
                    return

    async def _poll(self, sign_in: SignIn, code: OpenCode) -> Answered | Waiting:
        """Nobody's hang-up and no lock comes between the tokens and the disk."""
        polled = await poll(self._endpoint, sign_in.client, code.shown.device_code, self._clock)
        match polled:
            case Waiting() | outcomes.TryAgain() | Over(why="expired"):
                pass
            case _:
                await self._take(sign_in, polled)
        return polled


def none_there(sign_in: SignIn) -> NoProvider | SignInFailed:
    """For who wants a code and nothing else."""
    without = msgspec.structs.replace(sign_in.asked, device="")
    hint = login_command(without, sign_in.account, "--no-device")
    if failure := sign_in.code_failure:
        if isinstance(failure, Misconfigured) and "invalid_client" in failure.sentence:  # which no other way mends
            hint = login_command(sign_in.asked, sign_in.account, "--client-id ID")
        return SignInFailed(f"no code can be had for {sign_in.account}: {failure.sentence}", hint=hint)
    who = sign_in.client.provider
    return NoProvider(f"{who} has no device grant (RFC 8628) that is known of, and so no code to type", hint=hint)


def _expired(sign_in: SignIn, code: OpenCode) -> None:
    """Who was shown a code waits for that. Who began in a browser, before another caller wanted a code, goes on."""
    if not sign_in.asked.device:
        sign_in.code = None
    elif sign_in.open:
        sign_in.fail(
            SignInFailed(f"the code {code.shown.user_code} expired before anybody entered it", hint=sign_in.again)
        )
