"""The accounts in memory: each one's grant, and how keeping it fresh is going."""

import difflib
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Final

import anyio
from msgspec import Struct

from aixtiv_protocol import replies
from aixtiv_protocol.codec import Mode, encode_bare, encode_reply
from aixtiv_protocol.names import is_secret
from aixtiv_protocol.replies import State
from aixtiv_protocol.requests import Token
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import states
from aixtivd.accounts.grant import LAST, Grant
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, BadRequest, Locked, NoAccount, SignInNeeded

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*(/[A-Za-z0-9._@+-]+)*")
_NAME_LENGTH: Final = 100

_NAMED: Final = 20  # accounts that one sentence names
_NEAR: Final = 200  # names beside the one that was typed, among which one is looked for that may have been meant

_FORGETTING: Final = frozenset({"logout", "api-key remove"})
"""Commands of which no hint may name an account that nobody typed: hints are copied."""


class Problem(Struct, frozen=True):
    """The last failure, kept so that every caller gets an error of their own."""

    kind: type[AixtivError]
    sentence: str
    hint: str = ""
    until: float = 0.0  # steady; when aixtiv tries again; 0: not by itself

    def error(self, now: float) -> AixtivError:
        return self.kind(self.sentence, hint=self.hint or None, retry_after=max(0.0, self.until - now))


class Refusal(Struct, frozen=True):
    """What an API's 401 says about a token, for a while."""

    token: Secret
    until: float  # steady

    def of(self, token: Secret | None, now: float) -> bool:
        return now < self.until and token == self.token


class Said(Struct, frozen=True):
    """An answer with a token in it, as bytes."""

    account: str
    data: bytes

    def __repr__(self) -> str:
        return f"Said({self.account!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show the data
        return [("account", self.account)]


class Entry:
    """One account. Only the refresher, the sign-in and `Accounts` change it, all in the one event loop."""

    __slots__ = (
        "_changed",
        "_expires_steady",
        "_expires_wall",
        "_lead",
        "_said",
        "due",
        "failures",
        "flying",
        "grant",
        "interrupted",
        "leaving",
        "not_before",
        "problem",
        "refused",
        "reply",
        "rescued",
        "saved",
        "stopped",
        "taken_until",
    )

    def __init__(self, grant: Grant, clock: Clock, saved: Grant | None = None) -> None:
        self.saved = saved  # the generation that is durable; another than `grant` while store and slot are both full
        self.due: float | None = None  # steady; when the next refresh is planned
        self.not_before = 0.0  # steady; no attempt by ourselves before this
        self.failures = 0  # in a row
        self.problem: Problem | None = None
        self.stopped = False  # a failure that only a person can mend: no attempt by ourselves
        self.interrupted = False  # the answer to a refresh was lost: it is finished now, whatever the token's age
        self.leaving = False  # a logout is under way
        self.flying = False  # a refresh is in flight
        self.refused: Refusal | None = None  # what an API would not take, and nothing better could be had for
        self.rescued: Refusal | None = None  # what came in place of a token that an API would not take
        self.taken_until = 0.0  # steady; for so long a 401 says nothing about the token: it was taken before
        self._changed: anyio.Event | None = None  # made for who waits: of thousands of accounts, few are waited for
        self.adopt(grant, clock)

    def adopt(self, grant: Grant, clock: Clock) -> None:
        """Takes a new generation as the one to serve."""
        self.grant = grant
        left = min(grant.expires_at - clock.wall(), grant.lifetime)
        self._expires_steady = clock.steady() + left if grant.lifetime else float("inf")
        self._expires_wall = grant.expires_at if grant.lifetime else float("inf")
        self._lead = states.lead(grant.lifetime) if grant.access_token or grant.api_key else float("inf")
        self._said: dict[tuple[str, str], Said] | None = None  # made for who asks, as `_changed` is
        self.reply = replies.AccessToken(
            account=grant.name,
            access_token=grant.access_token or grant.api_key or Secret(""),
            token_type=grant.token_type if grant.access_token else "api-key",
            expires_at=unix(grant.expires_at),
            scopes=grant.scopes,
            generation=grant.generation,
        )

    def forgive(self) -> None:
        """A new grant: what failed with the one before says nothing."""
        self.failures, self.problem, self.not_before = 0, None, 0.0
        self.stopped = self.interrupted = False

    @property
    def changed(self) -> anyio.Event:
        """Set when a refresh has settled or the grant is another; after that there is another one."""
        if self._changed is None:
            self._changed = anyio.Event()
        return self._changed

    def announce(self) -> None:
        """Wakes the callers that wait for this account."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    def left(self, clock: Clock) -> float:
        """Seconds of life of the token to serve: infinite for what does not expire, below zero where there is none."""
        grant = self.grant
        if not (grant.access_token or grant.api_key):
            return -1.0
        if not grant.lifetime:
            return float("inf")
        return states.life_left(clock.wall(), clock.steady(), grant.expires_at, self._expires_steady)

    def freshness(self, clock: Clock, min_ttl: float) -> states.Freshness:
        return states.freshness(self.left(clock), self.grant.lifetime, min_ttl)

    def said(self, asked: Token, mode: Mode, wall: float, steady: float) -> Said | None:
        """The answer, encoded once in each generation, however many ask; None where `freshness` is not SERVE.

        All in one, since the hot path comes here for every token. `wall`, `steady`: what the clocks say.
        """
        by_wall, by_steady = self._expires_wall - wall, self._expires_steady - steady
        if not (by_wall > self._lead < by_steady and by_wall >= asked.min_ttl <= by_steady):
            return None
        said = self._said.get((asked.form, mode)) if self._said else None
        return said or self._encoded(asked, mode)

    def _encoded(self, asked: Token, mode: Mode) -> Said:
        reply = self.reply
        data = encode_bare(reply.access_token, mode) if asked.form == "bare" else encode_reply(reply, mode)
        said = Said(self.grant.name, data)
        self._said = (self._said or {}) | {(asked.form, mode): said}
        return said

    @property
    def renewable(self) -> bool:
        """Whether aixtiv may have a new token by itself."""
        return self.grant.renewable and not (self.grant.quarantined or self.stopped or self.leaving)

    def over(self, clock: Clock) -> AixtivError:
        """Why this account has no good token, for one that will not get one by itself."""
        if self.problem:
            return self.problem.error(clock.steady())
        name = self.grant.name
        sentence = self.grant.quarantined or (
            f"the token of {name} has expired, and the provider gave no refresh token"
            if self.grant.access_token
            else f"nobody has signed in to {name}"
        )
        return SignInNeeded(sentence, hint=f"aixtiv login {name}")

    def state(self, clock: Clock) -> State:
        if self.grant.quarantined:
            return "quarantined"
        if self.grant.kind == "api-key":
            return "static"
        if self.problem:
            return "failing"
        match self.freshness(clock, 0):
            case states.Freshness.SERVE:
                return "fresh"
            case states.Freshness.SERVE_AND_REFRESH:
                return "due"
            case states.Freshness.WAIT:
                return "expired"

    def described(self, clock: Clock, *, default: bool) -> replies.Account:
        grant = self.grant
        shown = self.over(clock) if grant.quarantined or not self.grant.access_token else None
        problem = self.problem.error(clock.steady()) if self.problem else shown
        if grant.kind == "api-key":
            problem = None
        return replies.Account(
            name=grant.name,
            provider=grant.provider,
            kind=grant.kind,
            state=self.state(clock),
            subject=grant.subject,
            who=grant.who,
            issuer=grant.issuer,
            scopes=grant.scopes,
            generation=grant.generation,
            expires_at=unix(grant.expires_at),
            next_refresh=int(clock.wall() + self.due - clock.steady()) if self.due is not None else 0,
            refreshed_at=unix(grant.refreshed_at),
            signed_in_at=unix(grant.signed_in_at),
            problem=problem.sentence if problem else "",
            hint=problem.hint if problem else "",
            default=default,
            key=grant.api_key is not None,
            endpoint=grant.endpoint,
        )


class Book:
    """All accounts by name. Closed while the vault is locked: then every question is answered with Locked."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: list[str] = []  # theirs, in order
        self._default = ""
        self.closed = True

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, entry: Entry) -> bool:
        return self._entries.get(entry.grant.name) is entry

    def configure(self, default: str) -> None:
        self._default = default

    def open(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Forgets everything; who waited for an account is told to look again."""
        entries, self._entries, self._names, self.closed = self._entries, {}, [], True
        for entry in entries.values():
            entry.announce()

    def add(self, entry: Entry) -> None:
        name = entry.grant.name
        if name not in self._entries:
            insort(self._names, name)
        self._entries[name] = entry

    def remove(self, entry: Entry) -> None:
        if entry in self:
            self._drop(entry.grant.name)
        entry.announce()

    def rename(self, entry: Entry, before: str) -> None:
        """It has got another name."""
        if self._entries.get(before) is entry:
            self._drop(before)
            self.add(entry)
        entry.announce()

    def _drop(self, name: str) -> None:
        del self._entries[name]
        del self._names[bisect_left(self._names, name)]

    def behind(self, name: str = "") -> Iterator[Entry]:
        """The accounts whose names come after that one, in order."""
        for at in range(bisect_right(self._names, name), len(self._names)):
            yield self._entries[self._names[at]]

    def find(self, name: str) -> Entry | None:
        """The account of that name, or the default one for an empty name; None where there is none, or while locked."""
        return None if self.closed else self._entries.get(name or self.default)

    def named(self, name: str, doing: str = "token") -> Entry:
        """Raises Locked, or NoAccount with what to type; `doing`: the command that wants the account."""
        if self.closed:
            raise Locked
        entry = self.find(name)
        if entry is not None:
            return entry
        if name or self._default:
            raise self._unknown(name or self._default, doing)
        if self._entries:
            first = self._names[0]
            names = listed(self._names)
            raise NoAccount(
                f"no account was named, and there is no default; there are {names}",
                hint=None if doing in _FORGETTING else f"aixtiv {doing} {first}, or export AIXTIV_ACCOUNT={first}",
            )
        raise NoAccount("nobody has signed in to anything yet", hint="aixtiv login NAME")

    def _unknown(self, name: str, doing: str) -> NoAccount:
        """Somebody who mistyped is told what is near, somebody who wants a token how to get there."""
        if near := self.near(name):
            hint = None if doing in _FORGETTING else f"aixtiv {doing} {near}"
            return NoAccount(f"there is no account {shown(name)}; there is {near}", hint=hint)
        if doing in {"token", "refresh", "verify"} and shown(name) == name:
            return NoAccount(f"there is no account {name}", hint=f"aixtiv login {name}")
        return NoAccount(f"there is no account {shown(name)}")

    def near(self, name: str) -> str:
        """The account that may have been meant by a name that is none; empty: none."""
        at = bisect_left(self._names, name)  # a comparison with each of ten thousand would hold everybody up
        beside = self._names[max(0, at - _NEAR) : at + _NEAR]
        return next(iter(difflib.get_close_matches(name, beside, n=1)), "")

    @property
    def default(self) -> str:
        """The config's default account, else the only one there is."""
        if self._default or len(self._entries) != 1:
            return self._default
        return next(iter(self._entries))


def checked_name(name: str) -> str:
    """A name for a new account. Raises BadRequest, which repeats nothing of what may be a secret."""
    if is_secret(name):
        raise BadRequest(
            "what stands in the place of an account's name looks like a key or a token, and is not kept",
            hint="aixtiv accounts",
        )
    if not is_name(name):
        raise BadRequest(
            "an account's name is letters, digits and . _ @ + - in parts joined by /", hint="aixtiv login github/work"
        )
    return name


def is_name(word: str) -> bool:
    """Whether an account can be called that, so that the word may stand in sentences and logs."""
    return len(word) <= _NAME_LENGTH and _NAME.fullmatch(word) is not None and not is_secret(word)


def unix(seconds: float) -> int:
    """A time as an answer can hold it. One that is none must not keep all other accounts from being shown."""
    return int(seconds) if 0 <= seconds <= LAST else 0


def listed(names: list[str], between: str = ", ") -> str:
    """Names as a sentence can hold them."""
    more = len(names) - _NAMED
    return between.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def shown(name: str) -> str:
    """A caller's word as it may stand in a sentence that is shown in a terminal."""
    return name if is_name(name) else "of that name"
