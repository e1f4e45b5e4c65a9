"""Which credential pays for a relayed call: the account's token, and an API key only where there is none (D12)."""

from collections.abc import Callable
from typing import Final, Literal

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.book import Book, Entry, Refusal, checked_name, listed
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.events import Events
from aixtivd.accounts.serving import Serving
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.errors import (
    AixtivError,
    Locked,
    NoAccount,
    Refused,
    SignInNeeded,
    StoreFailed,
    Unreachable,
    WaitedTooLong,
)

RESCUED: Final = 60.0  # seconds in which a token that replaced a refused one is not replaced in its turn
SHUNNED: Final = 300.0  # seconds in which a key pays at once for a token that was refused, and could not be replaced
TAKEN: Final = (
    300.0  # seconds after a good answer in which a 401 is that call's own: a key may pay for it, and no other
)
_MOST_PAYERS: Final = 1000  # names remembered; callers with a key of their own can name any

_PASSING: Final = (Unreachable, WaitedTooLong, Locked, StoreFailed)
"""What says nothing about the grant: then no key pays in its place."""

Fallback = Literal["", "api-key", "none"]


class Paying:
    def __init__(self, book: Book, serving: Serving, events: Events, config: Config, clock: Clock) -> None:
        self.config = config
        self._book = book
        self._serving = serving
        self._events = events
        self._clock = clock
        self._payers: dict[str, str] = {}  # account -> kind of what paid last

    def relayed(self, name: str, may: Callable[[str], bool] = bool) -> str:
        """The account that is meant: the one named, the config's, `anthropic`, or the only one at that provider.

        `may`: which of those that are not named may be meant (every name is true): the others are as if not there.
        """
        if self._book.closed:
            raise Locked
        if wanted := name or self.config.claude.account:
            return wanted if self._book.find(wanted) else checked_name(wanted)
        usual = self._book.find("anthropic")
        if usual and usual.grant.provider == "anthropic" and may("anthropic"):
            return "anthropic"
        names = [entry.grant.name for entry in self._book.behind() if entry.grant.provider == "anthropic"]
        theirs = [name for name in names if may(name)]
        if len(theirs) > 1:
            raise NoAccount(
                f"no account was named, and {listed(theirs, ' and ')} are all at anthropic",
                hint=f"export AIXTIV_ACCOUNT={theirs[0]}",
            )
        return theirs[0] if theirs else "anthropic"

    async def credential(
        self, name: str, *, key: Secret | None, fallback: Fallback, wait: float, refused: Credential | None
    ) -> Credential:
        name = self.relayed(name)
        entry = self._book.find(name)
        if refused is not None and refused.form == "api-key":  # nothing comes after a key
            raise Refused(f"the API does not take the key of {name}", hint=f"aixtiv api-key set {name}")
        if entry is not None and entry.grant.kind == "api-key":
            return self._noted(self._with_key(name, entry, key, ""))
        try:
            found = await self._with_token(name, wait, refused, key, fallback)
        except AixtivError as failure:
            if not isinstance(failure, SignInNeeded | NoAccount) and (refused is None or isinstance(failure, _PASSING)):
                raise
            found = self._stand_in(name, key, fallback, failure)
        return self._noted(found)

    async def _with_token(
        self, name: str, wait: float, refused: Credential | None, key: Secret | None, fallback: Fallback
    ) -> Credential:
        """Raises SignInNeeded or NoAccount where there is none, and with `refused` whatever kept a better one away."""
        deadline = self._clock.steady() + wait
        entry = self._known(name)
        if refused is not None and refused.secret == entry.grant.access_token:
            if not await self._replaced(entry, deadline):
                if self._may_stand_in(entry, key, fallback):
                    raise _not_taken(name)
                return refused
        elif refused is None and self._shunned(entry) and self._may_stand_in(entry, key, fallback):
            raise _not_taken(name)
        asked = requests.Token(account=name, wait=max(0.0, deadline - self._clock.steady()))
        token = self._serving.cached(asked) or await self._serving.token(asked)
        grant = self._known(name).grant
        return Credential(
            account=name,
            provider=grant.provider,
            form="token",
            kind=grant.kind,
            secret=token.access_token,
            generation=token.generation,
            endpoint=grant.endpoint,
        )

    async def _replaced(self, entry: Entry, deadline: float) -> bool:
        """Until there is another token than the one the API refused: one refresh, however many callers ask for it.

        False: there is none, but the API takes this one, and only not for what it was asked (some paths want a key).
        """
        before = entry.grant
        try:
            await self._another(entry, deadline)
        except _PASSING:
            raise
        except AixtivError:
            self._shun(entry, before.access_token)
            raise
        if entry.grant.access_token == before.access_token:
            well = not (entry.problem or entry.stopped or entry.grant.quarantined)
            if well and self._clock.steady() < entry.taken_until:
                return False
            self._shun(entry, before.access_token)
            raise _not_taken(entry.grant.name)
        if entry.grant.access_token is not None:
            entry.rescued = Refusal(entry.grant.access_token, self._clock.steady() + RESCUED)
        return True

    def answered(self, credential: Credential, status: int) -> None:
        """An API's answer to a call. Only what a good token draws counts: a 404 or a 503 can come before it is read."""
        entry = self._book.find(credential.account)
        if entry is None or credential.form != "token" or not (status < 400 or status == 429):
            return
        entry.taken_until = self._clock.steady() + TAKEN
        if entry.refused is not None and entry.refused.token == credential.secret:
            entry.refused = None

    async def _another(self, entry: Entry, deadline: float) -> None:
        """Returns with the same token where nothing better is to be had; raises why the refresh failed."""
        before = entry.grant
        now = self._clock.steady()
        if self._shunned(entry) or (entry.rescued and entry.rescued.of(before.access_token, now)):
            return
        if entry.renewable or entry.problem or before.quarantined:  # else the sentence would be about an expiry
            await self._serving.another(entry, deadline)

    def _shunned(self, entry: Entry) -> bool:
        return entry.refused is not None and entry.refused.of(entry.grant.access_token, self._clock.steady())

    def _shun(self, entry: Entry, token: Secret | None) -> None:
        if token is not None:
            entry.refused = Refusal(token, self._clock.steady() + SHUNNED)

    def _known(self, name: str) -> Entry:
        if self._book.closed:
            raise Locked
        entry = self._book.find(name)
        if entry is None:
            ways = (f"aixtiv login {name}", f"aixtiv api-key set {name}")
            if self._provider(name) == "anthropic":  # where a sign-in alone leads nowhere
                ways = ways[::-1]
            raise NoAccount(f"there is no account {name}", hint=", or ".join(ways))
        return entry

    def _may_stand_in(self, entry: Entry | None, key: Secret | None, fallback: Fallback) -> bool:
        """A caller may forbid what the config allows, and not the reverse."""
        return _has_key(entry, key) and "none" not in {fallback, self.config.claude.fallback}

    def _stand_in(self, name: str, key: Secret | None, fallback: Fallback, failure: AixtivError) -> Credential:
        entry = self._book.find(name)
        if self._may_stand_in(entry, key, fallback):
            return self._with_key(name, entry, key, f"an API key pays for {name}: {failure.sentence}")
        if _has_key(entry, key):
            sentence = f"{failure.sentence}; an API key is there, but may not be used (fallback is none)"
            raise type(failure)(sentence, hint=failure.hint)
        raise failure

    def _with_key(self, name: str, entry: Entry | None, key: Secret | None, note: str) -> Credential:
        """The account's own key before the one that came with the call."""
        sealed = entry.grant.api_key if entry else None
        return Credential(
            account=name,
            provider=entry.grant.provider if entry else self._provider(name),
            form="api-key",
            kind="api-key",
            secret=sealed or key or Secret(""),
            generation=entry.grant.generation if entry and sealed else 0,
            endpoint=entry.grant.endpoint if entry else "",
            note=note,
        )

    def _provider(self, name: str) -> str:
        """Of an account that is not there."""
        return "anthropic" if name in (self.config.claude.account, "claude") else name.partition("/")[0]

    def _noted(self, credential: Credential) -> Credential:
        """Tells whenever another kind of credential pays than before; the first choice, the first time, is no news."""
        name, kind = credential.account, credential.kind
        before = self._payers.get(name)
        if kind != before and (before is not None or credential.note):
            self._events.tell("paying", account=name, detail=credential.note or f"its own {kind} pays again")
        if len(self._payers) >= _MOST_PAYERS:
            self._payers.clear()
        self._payers[name] = kind
        return credential


def _has_key(entry: Entry | None, key: Secret | None) -> bool:
    return key is not None or (entry is not None and entry.grant.api_key is not None)


def _not_taken(name: str) -> SignInNeeded:
    return SignInNeeded(
        f"the API does not take the token of {name}, and no better one is to be had", hint=f"aixtiv login {name}"
    )
