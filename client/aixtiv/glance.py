"""`aixtiv status` as a person reads it: the daemon in a few lines, each account in one, and what is wrong below it."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from rich.cells import cell_len
from rich.padding import Padding
from rich.text import Text

from aixtiv import people, show
from aixtiv.failures import AixtivError
from aixtiv.words import brief, clean, span, until
from aixtiv_protocol.replies import Account, DaemonStatus

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType

_GAP: Final = 2  # columns between two cells
_BARS: Final = {110: 20, 80: 10, 0: 6}  # from that many columns on, how many of them are a bar
_LONG: Final = 32  # columns: a longer name has a line to itself
_ALIKE: Final = 5  # seconds by which clocks may differ: tokens live for minutes
_WORSE: Final = ("quarantined", "failing", "expired")
_STATES: Final = ("fresh", "due", "static", *reversed(_WORSE))


class Seen(Struct, frozen=True):
    """What there is to be shown, of one moment."""

    daemon: DaemonStatus
    refused: AixtivError | None = None  # why no account is told of
    trouble: str = ""  # why it may be out of date, a sentence


def view(seen: Seen, *, verbose: bool = False, worst_first: bool = False, now: float = 0.0) -> "Group":
    """`verbose`: with the paths of its files. `worst_first`: where not all accounts may fit onto the screen."""
    from rich.console import Group  # noqa: PLC0415  # heavy: see show.draw

    now = now or time.time()
    accounts = seen.daemon.accounts
    if worst_first:
        accounts = tuple(sorted(accounts, key=lambda account: account.state not in _WORSE))
    parts: list[RenderableType] = [Text(clean(seen.trouble), style="yellow")] if seen.trouble else []
    parts.append(show.grid(_daemon(seen.daemon, now, verbose=verbose)))
    if seen.refused is not None:
        parts += ["", Text(f"no account is shown: {clean(seen.refused.sentence)}"), show.hinted(seen.refused.hint)]
    elif not seen.daemon.locked and not accounts:
        parts += ["", "no account yet", show.hinted("aixtiv login NAME")]
    if accounts:
        parts += ["", Accounts(accounts, now)]
    return Group(*parts)


# ---- the daemon


def _daemon(daemon: DaemonStatus, now: float, *, verbose: bool) -> Iterator[tuple[str, str | Text]]:
    by = f", started by {daemon.manager}" if daemon.manager else ""
    yield "daemon", f"{daemon.version}, running for {span(now - daemon.started_at)} (pid {daemon.pid}){by}"
    yield from _vault(daemon)
    if verbose:
        yield from ((name, path) for name, path in _paths(daemon) if path)
    for name, problem in _problems(daemon):
        yield name, Text(clean(problem), style="red" if name == "damaged" else "yellow")
    if len(daemon.accounts) > 1:
        yield "accounts", _counted(daemon.accounts)


def _vault(daemon: DaemonStatus) -> Iterator[tuple[str, str | Text]]:
    if daemon.locked:
        why = "its passphrase is still to be chosen" if daemon.new_store else daemon.lock_reason
        yield "vault", Text(clean(f"locked: {why}" if why else "locked"), style="yellow")
        yield "", show.hinted("aixtiv unlock")
    else:
        yield "vault", "open"
    if daemon.key_source:
        yield "key", f"{daemon.key_source}: {daemon.key_reason}" if daemon.key_reason else daemon.key_source


def _paths(daemon: DaemonStatus) -> list[tuple[str, str]]:
    config = show.short(daemon.config)
    if config and not os.path.exists(daemon.config):  # noqa: PTH110  # text in, a bool out
        config += " (not there; optional)"
    port = f" and 127.0.0.1:{daemon.gateway_port}" if daemon.gateway_port else ""
    gateway = f"{show.short(daemon.gateway)}{port}" if daemon.gateway else ""
    store, socket = show.short(daemon.store), show.short(daemon.socket)
    return [("store", store), ("config", config), ("socket", socket), ("gateway", gateway)]


def _problems(daemon: DaemonStatus) -> Iterator[tuple[str, str]]:
    if daemon.damaged:
        yield "damaged", f"{_number(daemon.damaged, 'record fails its', 'records fail their')} seal; kept, and not used"
    if daemon.spilled:
        yield "unsaved", f"{_number(daemon.spilled, 'grant waits', 'grants wait')} for room on the disk"
    for name, problem in (
        ("gateway", daemon.gateway_problem),
        ("audit log", daemon.audit_problem),
        ("notices", daemon.notice_problem),
        ("published", daemon.publish_problem),
    ):
        if problem:
            yield name, problem
    for host, skew in sorted(daemon.skews.items()):
        if abs(skew) >= _ALIKE:
            yield "clock", f"{host} is {span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine"


def _number(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _counted(accounts: tuple[Account, ...]) -> Text:
    """`12: 9 fresh, 1 failing, 2 quarantined`."""
    counts = Counter(account.state for account in accounts)
    known = sorted(counts, key=lambda state: (*_STATES, state).index(state))
    parts = [Text(f"{counts[state]} {clean(state)}", style=people.colour(state)) for state in known]
    return Text.assemble(f"{len(accounts)}: ", Text(", ").join(parts))


# ---- the accounts


class _Row(Struct, frozen=True):
    name: Text
    kind: Text
    state: Text
    bar: Text
    left: Text
    coming: Text
    life: Text  # both
    below: tuple[Text, ...]


_LAYOUTS: Final = (  # the first that fits counts; what is left out of a line stands below it, or was the least of it
    ("name", "kind", "state", "bar", "life"),
    ("name", "state", "bar", "life"),
    ("name", "state", "bar", "left"),
    ("name", "state", "left"),
    ("name", "state"),
)


class Accounts:
    """As many columns as fit: a terminal gets bars, a pipe the hour at which each token ends."""

    def __init__(self, accounts: tuple[Account, ...], now: float) -> None:
        self._accounts = accounts
        self._now = now

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        width = options.max_width
        if console.is_terminal:
            marks = ("#", ".") if options.ascii_only else ("█", "░")
            size = next(size for least, size in _BARS.items() if width >= least)
            rows = [_row(one, self._now, size, marks) for one in self._accounts]
        else:
            rows = [_plain_row(one, self._now) for one in self._accounts]
        longest = _LONG if console.is_terminal else width
        widths = {cell: _widest(rows, cell, longest) for cell in (*_LAYOUTS[0], "left")}
        layout = next((layout for layout in _LAYOUTS if _width(layout, widths) <= width), _LAYOUTS[-1])
        for row in rows:
            yield from _lines(row, [cell for cell in layout if widths[cell]], widths)


def _row(account: Account, now: float, size: int, marks: tuple[str, str]) -> _Row:
    bar = _bar(account, now, size, marks)
    return _shared(account, bar=bar, left=_left(account, now), coming=_coming(account, now, brief))


def _plain_row(account: Account, now: float) -> _Row:
    left = Text(until(account.expires_at, now))
    return _shared(account, bar=Text(), left=left, coming=_coming(account, now, span))


def _shared(account: Account, *, bar: Text, left: Text, coming: Text) -> _Row:
    below = [Text(f"at {clean(account.endpoint)}")] if account.endpoint else []
    if account.problem:
        below.append(Text(clean(people.beside(account.name, account.problem))))
    if account.hint:
        below.append(show.hinted(account.hint))
    return _Row(
        name=people.named(account),
        kind=Text(clean(people.kind(account)), style="dim"),
        state=people.stated(account),
        bar=bar,
        left=left,
        coming=coming,
        life=Text(", ").join(text for text in (left, coming) if text),
        below=tuple(below),
    )


def _bar(account: Account, now: float, size: int, marks: tuple[str, str]) -> Text:
    """How much of its life a token has left; blank where that is not known, or it does not end."""
    whole = account.expires_at - max(account.refreshed_at, account.signed_in_at)
    if not account.expires_at or whole <= 0:
        return Text(" " * size)
    share = min(1.0, max(0.0, (account.expires_at - now) / whole))
    full = -int(-share * size // 1)  # rounded up: what lives is seen to
    return Text.assemble((marks[0] * full, people.colour(account.state)), (marks[1] * (size - full), "dim"))


def _left(account: Account, now: float) -> Text:
    if not account.expires_at:
        return Text("no expiry", style="dim")
    left = account.expires_at - now
    return Text(f"{brief(left)} left") if left > 0 else Text(f"expired {brief(-left)} ago", style="yellow")


def _coming(account: Account, now: float, say: Callable[[float], str]) -> Text:
    if not account.next_refresh:
        return Text()
    when = account.next_refresh - now
    again = "tries again" if account.state == "failing" else "refreshes"
    return Text(f"{again} in {say(when)}" if when >= 1 else f"{again} now", style="dim")


def _lines(row: _Row, cells: list[str], widths: dict[str, int]) -> "Iterator[RenderableType]":
    texts = [_padded(getattr(row, cell), widths[cell]) for cell in cells]
    if cell_len(row.name.plain) > widths["name"]:
        yield row.name
        texts[0] = Text(" " * widths["name"])
    line = Text(" " * _GAP).join(texts)
    line.rstrip()
    yield line
    rest = Text() if "life" in cells else row.coming if "left" in cells else row.life
    for text in (*((rest,) if rest else ()), *row.below):
        yield Padding(text, (0, 0, 0, 2 * _GAP))


def _padded(text: Text, width: int) -> Text:
    return Text.assemble(text, " " * (width - cell_len(text.plain)))


def _widest(rows: Iterable[_Row], cell: str, longest: int) -> int:
    """A name may be longer than that: then it has a line to itself."""
    widths = [cell_len(getattr(row, cell).plain) for row in rows]
    least = 1 if cell == "name" else 0
    return max((width for width in widths if cell != "name" or width <= longest), default=least)


def _width(layout: tuple[str, ...], widths: dict[str, int]) -> int:
    """Of a line with those cells; one that is empty everywhere costs nothing."""
    return sum(widths[cell] + _GAP for cell in layout if widths[cell]) - _GAP
