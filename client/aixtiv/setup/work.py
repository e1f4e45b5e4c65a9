"""One setup from the plan to the files, and back: shown, agreed to, done, undone."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import Struct, structs

from aixtiv.client import Client
from aixtiv.failures import AixtivError, NoAccount
from aixtiv.setup import diff, files, port, record
from aixtiv.setup.goal import Goal
from aixtiv.setup.record import Pending, Record, Undone
from aixtiv_protocol.replies import DaemonStatus

_PROBE: Final = 60  # seconds

Build = Callable[[int, str], tuple[Goal, ...]]
"""Port and ticket to the files as they should be."""


class Ask(Protocol):
    """Whether the person agrees to the lines shown. Raises Usage where nobody can be asked."""

    def __call__(self, lines: list[str], question: str) -> bool: ...


class Setup(Struct, frozen=True):
    name: str  # as it is typed
    title: str  # "Claude Code"
    build: Build
    needs_ticket: bool = False
    handed_out: bool = False  # its tickets are with shells, too: a new one ends none of them


class Done(Struct, frozen=True):
    port: int = 0
    ticket: str = ""
    changed: bool = False
    earlier: int = 0  # tickets of this setup that are still good


def do(setup: Setup, client: Client, ask: Ask, *, account: str = "", asked_port: int = 0) -> Done | None:
    """None: the person did not agree. Raises AixtivError."""
    _check_account(client, account)
    status = client.status()
    config = Path(status.config)
    tables = _tables(config)
    kept, held = record.load(setup.name), record.load(port.NAME)
    number = port.choose(asked_port, tables, status)
    port.check_users(held, number, setup.name)
    opening = record.pending(port.goals(config, number), held)
    shown = record.pending(setup.build(number, diff.TICKET), kept)
    if _is_done(setup, kept, client, status, (account, number), shown):
        return Done(number)
    if not ask(list(_lines(setup, opening, shown)), f"set up {setup.title}"):
        return None
    port.open_for(setup.name, held, opening, number, client)
    try:
        ticket = _ticket(setup, client, account)
    except AixtivError:
        if setup.name not in held.users:
            port.release(setup.name, client)
        raise
    fresh = structs.replace(kept, account=account, port=number, ticket=ticket[0] or kept.ticket)
    record.apply(fresh, record.pending(setup.build(number, ticket[1]), kept))
    if setup.handed_out:
        return Done(number, ticket[1], changed=True, earlier=_named(client, _called(setup)) - 1)
    if ticket[0] and kept.ticket:
        revoke(client, kept.ticket)
    return Done(number, ticket[1], changed=True)


def _check_account(client: Client, account: str) -> None:
    """Before anything is changed: the daemon makes a ticket, or says why there is none. Raises AixtivError."""
    revoke(client, client.ticket(account, holder="none", ttl=_PROBE, name="setup, to see whether it can be").id)


def _named(client: Client, name: str) -> int:
    return sum(ticket.name == name for ticket in client.tickets())


def _lines(setup: Setup, opening: tuple[Pending, ...], shown: tuple[Pending, ...]) -> Iterator[str]:
    yield from diff.lines((*opening, *shown))
    if any(change.now != change.after for change in opening) and port.is_managed():
        yield "and the daemon's service is restarted"
    if setup.needs_ticket:
        others = "; the earlier ones stay good" if setup.handed_out else ""
        yield f"and a ticket is made that lasts until --undo, or `aixtiv ticket revoke`{others}"


def _is_done(
    setup: Setup,
    kept: Record,
    client: Client,
    status: DaemonStatus,
    wanted: tuple[str, int],
    shown: tuple[Pending, ...],
) -> bool:
    if not kept.made_at or (kept.account, kept.port) != wanted or status.gateway_port != kept.port:
        return False
    if setup.needs_ticket and kept.ticket not in {ticket.id for ticket in client.tickets()}:
        return False
    if not setup.needs_ticket and any(change.now != change.after for change in shown):
        return False
    paths = {str(change.goal.path) for change in shown}
    same = paths == {change.path for change in kept.changes}
    return bool(paths) and same and record.is_intact(kept)


def _ticket(setup: Setup, client: Client, account: str) -> tuple[str, str]:
    """Id and ticket. `apply` writes the id down before any file holds the ticket."""
    if not setup.needs_ticket:
        return "", ""
    made = client.ticket(account, holder="none", name=_called(setup))
    return made.id, made.ticket.reveal()


def _called(setup: Setup) -> str:
    """The ticket's name, by which one is found whose id could not be written down any more."""
    return f"setup {setup.name}"


def undo(setup: Setup, client: Client, ask: Ask) -> list[Undone] | None:
    """None: there is nothing to undo, or the person did not agree. Raises AixtivError once the files are back."""
    kept, held = record.load(setup.name), record.load(port.NAME)
    if not kept.made_at and setup.name not in held.users:
        _forget_half_made(kept, held)
        return None
    last = held.users == (setup.name,)
    steps = [*record.reverted(kept), *(record.reverted(held) if last else [])]
    lines = [line for step in steps for line in diff.unified(*step)]
    if setup.needs_ticket:
        lines.append(f"and every ticket that is named `{_called(setup)}` is revoked")
    if not ask(lines, f"undo the setup of {setup.title}"):
        return None
    told = record.undo(kept)
    try:
        told += port.release(setup.name, client)
    finally:  # the files are back: whatever else fails is said, and does not keep the ticket alive
        if setup.needs_ticket:
            revoke(client, _called(setup))
    return told


def _forget_half_made(*records: Record) -> None:
    """Copies whose record was not written any more: then no file was changed either."""
    for one in records:
        if not one.made_at:
            record.forget(one.name)


def revoke(client: Client, ticket: str) -> None:
    """One that has ended already is as good as revoked."""
    try:
        client.revoke_ticket(ticket)
    except NoAccount:  # there is no such ticket
        return
    except AixtivError as failure:
        again = f"aixtiv ticket revoke {shlex.quote(ticket)}"
        raise AixtivError(f"ticket {ticket!r} was not revoked: {failure.sentence}", hint=again) from None


def _tables(config: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  # heavy: only here

    data = files.contents(config)
    try:
        return tomllib.loads(files.text(config, data)) if data else {}
    except tomllib.TOMLDecodeError as error:
        raise AixtivError(f"{config} is not TOML: {error}", hint="aixtiv config check") from None
    except RecursionError:
        raise AixtivError(f"{config} is nested too deeply", hint="aixtiv config check") from None
