"""What a person should know about an account, and how it is put: pure, from one look at it."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from aixtivd.access.note import clean
from aixtivd.accounts.book import Entry
from aixtivd.accounts.grant import Grant, moment
from aixtivd.clock import Clock
from aixtivd.errors import SignInNeeded

Kind = Literal["sign-in-needed", "failing", "expires-soon"]

SHARE: Final = 0.2  # of a token's life: one that lives an hour does not end "soon" as soon as it is there
_LISTED: Final = 4  # accounts of one notification: more do not fit

_HAPPENED: Final[dict[Kind, str]] = {
    "sign-in-needed": "needs a sign-in",
    "failing": "cannot be refreshed",
    "expires-soon": "ends soon",
}


class Trouble(Struct, frozen=True):
    kind: Kind
    id: bytes  # the account's, whatever it is called
    account: str
    mark: float  # when its tokens came: of these it is told once
    sentence: str
    hint: str
    expires_at: int
    ripe_in: float = 0.0  # seconds until it is one
    news: bool = False  # nobody else tells of it


def trouble(entry: Entry, clock: Clock, within: float) -> Trouble | None:
    """The worst that can be said of the account now; None: it is well. `within`: seconds that count as soon."""
    grant = entry.grant
    if entry.leaving or grant.kind == "api-key":
        return None
    if grant.quarantined or (entry.problem and entry.problem.kind is SignInNeeded):
        return _of(entry, "sign-in-needed", clock)
    if entry.problem:
        return _of(entry, "failing", clock)
    if grant.renewable or not grant.lifetime or grant.access_token is None:
        return None
    left = entry.left(clock)
    if left <= 0:
        return _of(entry, "sign-in-needed", clock, news=True)
    return _ending(grant, left - min(within, grant.lifetime * SHARE)) if within else None


def _of(entry: Entry, kind: Kind, clock: Clock, *, news: bool = False) -> Trouble:
    grant = entry.grant
    failure = entry.over(clock)
    sentence, hint = clean(failure.sentence.removeprefix(f"{grant.name}: ")), clean(failure.hint)
    return Trouble(kind, grant.id, grant.name, _mark(grant), sentence, hint, int(grant.expires_at), news=news)


def _ending(grant: Grant, ripe_in: float) -> Trouble:
    return Trouble(
        kind="expires-soon",
        id=grant.id,
        account=grant.name,
        mark=_mark(grant),
        sentence=f"its token ends at {moment(grant.expires_at)}, and nothing but a sign-in renews it",
        hint=f"aixtiv login {grant.name}",
        expires_at=int(grant.expires_at),
        ripe_in=ripe_in,
        news=True,
    )


def _mark(grant: Grant) -> float:
    return max(grant.refreshed_at, grant.signed_in_at)


def title(told: Sequence[Trouble]) -> str:
    if len(told) == 1:
        return f"aixtiv: {told[0].account} {_HAPPENED[told[0].kind]}"
    kinds = {one.kind for one in told}
    if len(kinds) == 1:
        return f"aixtiv: {len(told)} accounts {_HAPPENED[kinds.pop()].replace('needs', 'need').replace('ends', 'end')}"
    return f"aixtiv: {len(told)} accounts are in trouble"


def body(told: Sequence[Trouble]) -> str:
    """What happened, and the command to type."""
    if len(told) == 1:
        return "\n".join(line for line in (told[0].sentence, told[0].hint) if line)
    lines = [f"{one.account} {_HAPPENED[one.kind]}: {one.hint or 'aixtiv status'}" for one in told[:_LISTED]]
    if more := len(told) - _LISTED:
        lines += [f"and {more} more: aixtiv status"] if more > 0 else []
    return "\n".join(lines)
