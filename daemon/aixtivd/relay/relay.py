"""One API call with a credential attached, and nothing else changed (D12)."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from aixtivd.access.audit import Audit
from aixtivd.access.denials import Denials
from aixtivd.access.rules import Rules
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.service import Accounts
from aixtivd.config import Config
from aixtivd.errors import AixtivError, Locked, Unreachable
from aixtivd.relay.api import Api
from aixtivd.relay.apis import api_for
from aixtivd.relay.bodies import Budget, Kept
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.heads import check_head, length_of, upstream_headers
from aixtivd.relay.passage import Passage
from aixtivd.relay.permits import Permits
from aixtivd.relay.targets import check_path, target
from aixtivd.relay.upstream import Upstream

STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
"""Classes of answers by which calls are counted; none: it may have reached the API, and no answer came."""

_GONE: Final = 2.0  # seconds in which calls that were cut off are over


class Relay:
    def __init__(self, accounts: Accounts, audit: Audit, config: Config, rules: Rules) -> None:
        self._accounts = accounts
        self._permits = Permits(rules, accounts)
        self._audit = audit
        self.denials = self._denials = Denials(audit, time.monotonic)
        self.statuses: Counter[str] = Counter()
        self._config = config
        self._apis: dict[tuple[str, str], Api] = {}  # as the config has them, by account and provider
        self._budget = Budget()
        self._upstream = Upstream(config.network)
        self._under_way: set[Passage] = set()
        self._none_left = anyio.Event()
        self.begun = 0  # calls, ever
        self.refuses: Callable[[], bool] = bool  # because the vault is being locked or unlocked; set from above

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
        self._upstream.configure(config.network)

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Answer]:
        """The answer, from its head on. Leaving ends the call, wherever it is; an answer that breaks off raises.

        Raises AixtivError.
        """
        passage = Passage(call)
        self._under_way.add(passage)
        self.begun += 1
        try:
            await passage.until_answered(self._pass(passage))
            yield passage.answer()
            passage.left = True
        except Unreachable:
            if passage.cut_off is None:
                raise
            raise passage.cut_off from None
        finally:
            self._left(passage)

    def _left(self, passage: Passage) -> None:
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
        await self._upstream.aclose()  # the next call opens another way

    async def aclose(self) -> None:
        """Ends the calls under way."""
        self._denials.flush()
        await self._upstream.aclose()

    async def _pass(self, passage: Passage) -> None:
        try:
            await self._sent(passage)
        except AixtivError as error:
            raise self._permits.quiet(passage, error) from None

    async def _sent(self, passage: Passage) -> None:
        """Until there is an answer that the caller gets: the first, but for a 401 that another credential may mend."""
        if self.refuses():
            raise Locked
        call = passage.call
        check_head(call)
        passage.body = body = Kept(call.body, length_of(call), self._budget)
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

    async def _credential(self, passage: Passage, refused: Credential | None = None) -> Credential:
        call = passage.call
        credential = await self._accounts.credential(
            passage.account, key=call.api_key, fallback=call.fallback, wait=call.wait, refused=refused
        )
        return self._permits.quieted(passage, credential)

    async def _send(self, passage: Passage, body: Kept, credential: Credential) -> None:
        call = passage.call
        api = self._api(passage.account, credential.provider)
        check_path(api, call.path)
        origin = target(
            api,
            passage.account,
            pinned=credential.endpoint,
            wanted=call.endpoint,
            free=credential.own,
            kind=credential.kind,
        )
        passage.credential = credential
        whole = await body.ready()
        headers = upstream_headers(api, call, credential, body.length if whole is None else len(whole))
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
            api = self._apis[account, provider] = api_for(self._config, account, provider)
        return api

    async def _send_again(self, passage: Passage, body: Kept, credential: Credential) -> None:
        """With another credential, and nothing left of the answer there was; where that cannot be, the answer stays."""
        if not body.resendable or passage.sent is None or credential is passage.credential:
            return
        await passage.sent.put_away()
        body.again()
        await self._send(passage, body, credential)
