"""What a person should know about an account, and how it is put: pure, from one look at it."""

from collections.abc import Iterator, Sequence
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


def troubles(entry: Entry, clock: Clock, within: float) -> Iterator[Trouble]:
    """What is to be said of the account now, or later if nothing changes. `within`: seconds that count as soon."""
    grant = entry.grant
    if entry.leaving or grant.kind == "api-key":
        return
    if entry.problem or grant.quarantined:
        needed = grant.quarantined or (entry.problem and entry.problem.kind is SignInNeeded)
        failure = entry.over(clock)
        yield _of(grant, "sign-in-needed" if needed else "failing", failure.sentence, hint=failure.hint)
    elif grant.access_token and grant.lifetime and not grant.renewable:
        left = entry.left(clock)
        if within and left > 0:
            sentence = f"its token ends at {moment(grant.expires_at)}, and nothing but a sign-in renews it"
            yield _of(grant, "expires-soon", sentence, ripe_in=left - min(within, grant.lifetime * SHARE))
        sentence = "its token has expired, and the provider gave nothing to renew it with"
        yield _of(grant, "sign-in-needed", sentence, ripe_in=left)


def _of(grant: Grant, kind: Kind, sentence: str, *, hint: str = "", ripe_in: float | None = None) -> Trouble:
    return Trouble(
        kind=kind,
        id=grant.id,
        account=grant.name,
        mark=max(grant.refreshed_at, grant.signed_in_at),
        sentence=clean(sentence.removeprefix(f"{grant.name}: ")),
        hint=clean(hint or ("aixtiv status" if kind == "failing" else f"aixtiv login {grant.name}")),
        expires_at=int(grant.expires_at),
        ripe_in=ripe_in or 0.0,
        news=ripe_in is not None,
    )


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
