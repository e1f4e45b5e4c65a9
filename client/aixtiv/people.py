"""Accounts, their kinds and states, and events as people read them."""

import sys
import time
from typing import TYPE_CHECKING, Final

from aixtiv import show
from aixtiv.words import brief, clean, moment, span, until
from aixtiv_protocol.replies import Account, Event, Verified

if TYPE_CHECKING:
    from rich.text import Text

_COLOURS: Final = {
    "fresh": "green",
    "static": "green",
    "due": "green",
    "expired": "yellow",
    "failing": "yellow",
    "quarantined": "red",
}


def signed_in(account: Account, *, as_json: bool, note: str = "") -> None:
    """How a sign-in ends: who, with which scopes, until when, for which API; `note`: what else it changed."""
    if note:
        show.note(note)
    if as_json:
        show.as_json(show.shape(account))
        return
    who = account.who or account.subject
    show.result(f"signed in to {account.name}{f' as {who}' if who else ''}")
    rows = [("scopes", " ".join(account.scopes) or "the provider did not say"), ("token", life(account))]
    show.pairs([*rows, ("endpoint", account.endpoint)] if account.endpoint else rows)


def life(account: Account) -> str:
    """`is good until 16:42 (59 minutes left)`, and what happens then."""
    if not account.expires_at:
        return "does not expire"
    if account.expires_at <= time.time():
        return until(account.expires_at)
    return f"is good until {until(account.expires_at)}"


_KINDS: Final = {
    "oauth": "sign-in",
    "client-credentials": "client's own",
    "api-key": "API key",
}


def kind(account: Account) -> str:
    """What it is, and whether a key stands beside it."""
    name = _KINDS.get(account.kind, account.kind)
    return f"{name} + API key" if account.key and account.kind != "api-key" else name


def identity(account: Account) -> None:
    rows = [
        ("account", account.name),
        ("kind", kind(account)),
        ("who", account.who),
        ("subject", account.subject),
        ("provider", account.provider),
        ("issuer", account.issuer),
        ("endpoint", account.endpoint),
        ("scopes", " ".join(account.scopes)),
        ("signed in", moment(account.signed_in_at) if account.signed_in_at else ""),
    ]
    show.pairs((name, value) for name, value in rows if value)


def table(accounts: tuple[Account, ...], used: str = "") -> None:
    """`used`: the one that a command means here which names none. Below each other where a line has no room for all."""
    from rich.console import Group  # noqa: PLC0415  # heavy: see show.draw
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = [_row(account) for account in accounts]
    mark = any(account.name == used for account in accounts)
    for account, (name, *_) in zip(accounts, rows, strict=True):
        if mark:
            name.pad_left(2)
            name.plain = f"*{name.plain[1:]}" if account.name == used else name.plain
    titles = ("  account" if mark else "account", "kind", "state", "who", "token")
    whole = sum(max(cell.cell_len for cell in column) + 2 for column in zip(map(Text, titles), *rows, strict=True)) - 2
    if whole > show.console().width:
        show.draw(
            Group(*(Padding(cell, (0, 0, 0, 0 if cell is row[0] else 4)) for row in rows for cell in row if cell))
        )
        return
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        grid.add_column(title, no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    show.draw(grid)


def _row(account: Account) -> "list[Text]":
    """A terminal has room for how long a token is still good, a pipe for its end."""
    left = account.expires_at - time.time()
    ends = f"{brief(left)} left" if left > 0 and sys.stdout.isatty() else until(account.expires_at)
    who = account.who or account.subject
    return [
        _styled(account.name, "bold"),
        _styled(kind(account)),
        stated(account),
        _styled(who),
        _styled(ends),
    ]


def beside(name: str, sentence: str) -> str:
    """A sentence of the daemon's about the account whose name stands beside it already."""
    return sentence.removeprefix(f"{name}: ")


def named(account: Account) -> "Text":
    """Its name, and whether it is what is meant where none is named."""
    return _styled(f"{account.name} (default)" if account.default else account.name, "bold")


def stated(account: Account) -> "Text":
    return _styled(account.state, colour(account.state))


def colour(state: str) -> str:
    return _COLOURS.get(state, "")


def _styled(text: str, style: str = "") -> "Text":
    from rich.text import Text  # noqa: PLC0415  # heavy: see show.draw

    return Text(clean(text), style=style)


def verdict(found: Verified) -> None:
    account = found.account
    active = {True: "active, says the issuer", False: "not active, says the issuer", None: "the issuer cannot be asked"}
    rows = [("account", account.name), ("state", account.state), ("token", life(account))]
    rows.append(("issuer", active[found.active]))
    if found.id_token:
        rows.append(("ID token", f"its signature is {found.id_token}, it is {span(found.id_token_age)} old"))
    if account.problem:
        rows.append(("problem", beside(account.name, account.problem)))
    if found.note:
        rows.append(("note", found.note))
    show.pairs(rows)


def happening(event: Event) -> str:
    """One line: when, what, which account, and how it is now."""
    when = time.strftime("%H:%M:%S", time.localtime(event.at))
    end = f"until {moment(event.expires_at)}" if event.expires_at else ""
    words = (when, f"{event.event:<14}", event.account, beside(event.account, event.detail) or end)
    return "  ".join(word for word in words if word).rstrip()
