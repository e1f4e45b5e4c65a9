"""One API call with a credential attached, and nothing else changed (D12)."""

import time
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Final

import anyio

from aixtivd.access.audit import Audit
from aixtivd.access.denials import Denials
from aixtivd.access.rules import Rules
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config
from aixtivd.errors import AixtivError, Locked, Unreachable
from aixtivd.relay import apis, bodies, heads, permits, targets, upstream
from aixtivd.relay import passage as passages
from aixtivd.relay.api import Api
from aixtivd.relay.call import Answer, Call

STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
"""Classes of answers by which calls are counted; none: it may have reached the API, and no answer came."""

_GONE: Final = 2.0  # seconds in which calls that were cut off are over


class Relay:
    def __init__(self, accounts: Accounts, audit: Audit, config: Config, rules: Rules) -> None:
        self._accounts = accounts
        self._rules = rules
        self._audit = audit
        self.denials = self._denials = Denials(audit, time.monotonic)
        self.statuses: Counter[str] = Counter()
        self._config = config
        self._apis: dict[tuple[str, str], Api] = {}  # as the config has them, by account and provider
        self._under_way: set[passages.Passage] = set()
        self._none_left = anyio.Event()
        self.begun = 0  # calls, ever
        self.refuses: Callable[[], bool] = bool  # because the vault is being locked or unlocked; set from above

    # Made for the first call: nobody else needs what they load (`later`).

    @cached_property
    def _permits(self) -> "permits.Permits":
        return permits.Permits(self._rules, self._accounts)

    @cached_property
    def _budget(self) -> "bodies.Budget":
        return bodies.Budget()

    @cached_property
    def _upstream(self) -> "upstream.Upstream":
        return upstream.Upstream(self._config.network)

    @property
    def open(self) -> int:
        """Calls under way."""
        return len(self._under_way)

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._under_way)

    async def over(self) -> None:
        """Returns when no call is under way."""
        while self._under_way:
            if self._none_left.is_set():
                self._none_left = anyio.Event()
            await self._none_left.wait()

    def reconfigure(self, config: Config) -> None:
        self._config = config
        self._apis.clear()
        if "_upstream" in vars(self):
            self._upstream.configure(config.network)

    def call(self, call: Call) -> "Calling":
        """The answer, from its head on. Leaving ends the call, wherever it is; an answer that breaks off raises.

        Raises AixtivError.
        """
        return Calling(self, passages.Passage(call))

    async def begin(self, passage: "passages.Passage") -> Answer:
        self._under_way.add(passage)
        self.begun += 1
        try:
            await passage.until_answered(self._pass(passage))
            return passage.answer()
        except BaseException as error:
            self.end(passage, error)
            raise

    def end(self, passage: "passages.Passage", error: BaseException | None) -> None:
        """Raises what it was cut off with where that is what the caller has heard as a broken answer."""
        passage.left = error is None
        self._left(passage)
        if isinstance(error, Unreachable) and passage.cut_off is not None:
            raise passage.cut_off from None

    def _left(self, passage: "passages.Passage") -> None:
        self._under_way.discard(passage)
        if not self._under_way:
            self._none_left.set()
        passage.end()
        if passage.reached:
            self.statuses[f"{passage.sent.status // 100}xx" if passage.sent else "none"] += 1
        passage.note(self._audit, self._denials)

    async def cut(self, failure: AixtivError) -> None:
        """Ends the calls under way with that failure, and every connection with them. No credential is left of them.

        A caller that takes nothing of its answer hears of it when it reads on: it is not waited for.
        """
        for passage in tuple(self._under_way):
            passage.cut(failure)
        with anyio.move_on_after(_GONE):
            await self.over()
        await self._hang_up()  # the next call opens another way

    async def aclose(self) -> None:
        """Ends the calls under way."""
        self._denials.flush()
        await self._hang_up()

    async def _hang_up(self) -> None:
        if "_upstream" in vars(self):  # else nothing ever went out
            await self._upstream.aclose()

    async def _pass(self, passage: "passages.Passage") -> None:
        try:
            await self._sent(passage)
        except AixtivError as error:
            raise self._permits.quiet(passage, error) from None

    async def _sent(self, passage: "passages.Passage") -> None:
        """Until there is an answer that the caller gets: the first, but for a 401 that another credential may mend."""
        if self.refuses():
            raise Locked
        call = passage.call
        heads.check_head(call)
        passage.body = body = bodies.Kept(call.body, heads.length_of(call), self._budget)
        passage.account = self._permits.account(call)
        passage.known = self._accounts.known(passage.account)
        self._permits.check(passage)
        self._audit.admit()
        await self._send(passage, body, await self._credential(passage))
        if passage.refused:  # raises where there is no other: a sentence tells a person more than the 401
            await self._send_again(passage, body, await self._credential(passage, passage.credential))
        if passage.refused and body.resendable:
            try:
                credential = await self._credential(passage, passage.credential)
            except AixtivError:
                pass  # the second 401 goes to the caller as it came
            else:
                if credential.form == "api-key":
                    await self._send_again(passage, body, credential)
        body.settle()

    async def _credential(self, passage: "passages.Passage", refused: Credential | None = None) -> Credential:
        call = passage.call
        credential = await self._accounts.credential(
            passage.account, key=call.api_key, fallback=call.fallback, wait=call.wait, refused=refused
        )
        return self._permits.quieted(passage, credential)

    async def _send(self, passage: "passages.Passage", body: "bodies.Kept", credential: Credential) -> None:
        call = passage.call
        api = self._api(passage.account, credential.provider)
        targets.check_path(api, call.path)
        origin = targets.target(
            api,
            passage.account,
            pinned=credential.endpoint,
            wanted=call.endpoint,
            free=credential.own,
            kind=credential.kind,
        )
        passage.credential = credential
        whole = await body.ready()
        headers = heads.upstream_headers(api, call, credential, body.length if whole is None else len(whole))
        data = body if whole is None else whole or None
        lane = hash((credential.account, credential.form, call.caller.ticket))
        before, passage.reached = passage.reached, True
        try:
            passage.sent = await self._upstream.send(call.method, origin + call.path, headers, data, lane)
        except Unreachable as error:
            passage.reached = before or getattr(error, "maybe_sent", False)
            if body.failure is not None:  # it is the caller who broke off
                raise body.failure from None
            raise
        self._accounts.answered(credential, passage.sent.status)

    def _api(self, account: str, provider: str) -> Api:
        """No more than there are accounts: one that is none has no credential either."""
        api = self._apis.get((account, provider))
        if api is None:
            api = self._apis[account, provider] = apis.api_for(self._config, account, provider)
        return api

    async def _send_again(self, passage: "passages.Passage", body: "bodies.Kept", credential: Credential) -> None:
        """With another credential, and nothing left of the answer there was; where that cannot be, the answer stays."""
        if not body.resendable or passage.sent is None or credential is passage.credential:
            return
        await passage.sent.put_away()
        body.again()
        await self._send(passage, body, credential)


class Calling:
    """One call: `async with` it. By hand, since what contextlib makes of a generator takes longer than all checks."""

    def __init__(self, relay: Relay, passage: "passages.Passage") -> None:
        self._relay = relay
        self._passage = passage

    async def __aenter__(self) -> Answer:
        return await self._relay.begin(self._passage)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._relay.end(self._passage, error)
