"""Accounts, events and the daemon's state as people read them."""

import os
import time
from typing import TYPE_CHECKING, Final

from aixtiv import show
from aixtiv.failures import AixtivError
from aixtiv.words import clean, moment, span, until
from aixtiv_protocol.replies import Account, DaemonStatus, Event, Verified

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


def table(accounts: tuple[Account, ...]) -> None:
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("account", "kind", "state", "who", "token"):
        grid.add_column(title, overflow="fold")
    for account in accounts:
        who = clean(account.who or account.subject)
        grid.add_row(_name(account), clean(kind(account)), _state(account), who, until(account.expires_at))
    show.draw(grid)


def status(daemon: DaemonStatus, refused: AixtivError | None = None) -> None:
    """`refused`: why accounts are not told of."""
    show.pairs(_daemon_rows(daemon))
    if refused is not None:
        show.result("")
        show.told(f"no account is shown: {refused.sentence}")
        show.result(f"hint: {refused.hint}")
    elif not daemon.locked and not daemon.accounts:
        show.result("\nno account yet")
        show.result("hint: aixtiv login NAME")
    if daemon.accounts:
        show.result("")
        _accounts_at_length(daemon.accounts)


def _daemon_rows(daemon: DaemonStatus) -> "list[tuple[str, str | Text]]":
    running = span(time.time() - daemon.started_at)
    rows: list[tuple[str, str | Text]] = [("daemon", f"{daemon.version}, running for {running} (pid {daemon.pid})")]
    if daemon.locked:
        why = "its passphrase is still to be chosen" if daemon.new_store else daemon.lock_reason
        rows.append(("vault", f"locked: {why}" if why else "locked"))
        rows.append(("", show.hinted("aixtiv unlock")))
    else:
        rows.append(("vault", "open"))
    if daemon.key_source:
        rows.append(("key", daemon.key_source))
        rows += [("", daemon.key_reason)] if daemon.key_reason else []
    rows += [(name, path) for name, path in _paths(daemon) if path]
    if daemon.damaged:
        rows.append(("damaged", f"{daemon.damaged} records fail their seal; they are kept and not used"))
    if daemon.spilled:
        rows.append(("unsaved", f"{daemon.spilled} grants wait for room on the disk"))
    if daemon.gateway_problem:
        rows.append(("gateway", daemon.gateway_problem))
    if daemon.audit_problem:
        rows.append(("audit log", daemon.audit_problem))
    rows += [("clock", skew) for skew in _skews(daemon.skews)]
    return rows


def _paths(daemon: DaemonStatus) -> list[tuple[str, str]]:
    config = show.short(daemon.config)
    if config and not os.path.exists(daemon.config):  # noqa: PTH110  # text in, a bool out
        config += " (not there; optional)"
    return [("store", show.short(daemon.store)), ("config", config), ("socket", show.short(daemon.socket))]


def _skews(skews: dict[str, float]) -> list[str]:
    """Only what can matter: tokens live for minutes."""
    return [
        f"{host} is {span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine"
        for host, skew in sorted(skews.items())
        if abs(skew) >= 5
    ]


def _accounts_at_length(accounts: tuple[Account, ...]) -> None:
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for account in accounts:
        grid.add_row(_name(account), clean(kind(account)), _state(account), _prospect(account))
        if account.endpoint:
            grid.add_row("", "", "", clean(f"at {account.endpoint}"))
        if account.problem:
            grid.add_row("", "", "", _styled(_beside(account.name, account.problem), ""))
        if account.hint:
            grid.add_row("", "", "", show.hinted(account.hint))
    show.draw(grid)


def _beside(name: str, sentence: str) -> str:
    """A sentence of the daemon's about the account whose name stands beside it already."""
    return sentence.removeprefix(f"{name}: ")


def _prospect(account: Account) -> str:
    """What comes: how long the token lives, when it is refreshed."""
    now = time.time()
    parts = [until(account.expires_at, now)]
    if account.next_refresh:
        when = account.next_refresh - now
        again = "tries again" if account.state == "failing" else "refreshes"
        parts.append(f"{again} in {span(when)}" if when >= 1 else f"{again} now")
    return ", ".join(parts)


def _name(account: Account) -> "Text":
    return _styled(f"{account.name} (default)" if account.default else account.name, "bold")


def _state(account: Account) -> "Text":
    return _styled(account.state, _COLOURS.get(account.state, ""))


def _styled(text: str, style: str) -> "Text":
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
        rows.append(("problem", _beside(account.name, account.problem)))
    if found.note:
        rows.append(("note", found.note))
    show.pairs(rows)


def happening(event: Event) -> str:
    """One line: when, what, which account, and how it is now."""
    when = time.strftime("%H:%M:%S", time.localtime(event.at))
    end = f"until {moment(event.expires_at)}" if event.expires_at else ""
    words = (when, f"{event.event:<14}", event.account, _beside(event.account, event.detail) or end)
    return "  ".join(word for word in words if word).rstrip()
