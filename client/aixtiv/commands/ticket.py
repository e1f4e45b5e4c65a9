"""`aixtiv ticket new|list|revoke`: local capabilities, to be handed to a tool instead of a token."""

import time
from typing import TYPE_CHECKING, cast

import click

from aixtiv import completing, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import Usage
from aixtiv.words import clean, moment, until
from aixtiv_protocol.replies import TicketMade, TicketShown
from aixtiv_protocol.requests import Verb

if TYPE_CHECKING:
    from rich.table import Table


@click.group("ticket", cls=Group)
def ticket() -> None:
    """Hand a tool a ticket instead of a token.

    A ticket is good at this machine's gateway alone, for one account, and ends with the shell that asked for it.
    """


@ticket.command("new")
@options.account
@options.ttl
@click.option("--name", default="", help="What to call it, for `ticket list` and `ticket revoke`.")
@click.option("--lasting", is_flag=True, help="Let it outlive this shell, and the daemon, until it is revoked.")
@click.option(
    "--verb",
    "verbs",
    multiple=True,
    type=click.Choice(("relay", "token")),
    help="What it is good for (relay); token: the token itself can be seen. Can be repeated.",
)
@options.agents_id
@options.common
def new(
    account: str,
    ttl: int,
    name: str,
    lasting: bool,
    verbs: tuple[str, ...],
    agent: str,
    as_json: bool,
    no_start: bool,
) -> None:
    """Print a new ticket for ACCOUNT, and nothing else.

    It ends with the shell or program that typed this, unless --lasting.
    """
    wanted = cast("tuple[Verb, ...]", verbs or ("relay",))
    own_port = "relay" in wanted and not lasting
    with options.Asking(no_start=no_start, agent=agent) as client:
        made = client.ticket(
            account, verbs=wanted, ttl=ttl, holder="none" if lasting else "parent", name=name, port=own_port
        )
    if as_json:
        show.as_json(show.shape(made) | {"ticket": made.ticket.reveal()})
        return
    _explain(made, lasting=lasting)
    show.result(made.ticket.reveal())


def _explain(made: TicketMade, *, lasting: bool) -> None:
    """On stderr: until when, and where to put it."""
    ends = [f"until {until(made.expires_at)}"] if made.expires_at else []
    ends += ["until it is revoked"] if lasting else ["until this shell ends"]
    show.note(f"ticket {made.id} for {made.account}, good {' or '.join(ends)}")
    if "relay" not in made.verbs:
        return
    if made.base_url:
        show.plain(f"export ANTHROPIC_BASE_URL={made.base_url}")
        show.plain("export ANTHROPIC_AUTH_TOKEN=TICKET")
    else:
        show.note(f"the gateway has no fixed port, only its socket {show.short(made.socket)}")
        show.hint("aixtiv setup env")


@ticket.command("list")
@options.common
def list_(as_json: bool, no_start: bool) -> None:
    """List the tickets there are."""
    with options.Asking(no_start=no_start) as client:
        found = client.tickets()
    if as_json:
        show.as_json({"tickets": [show.shape(one) for one in found]})
    elif found:
        show.draw(_table(found))
    else:
        show.note("there is no ticket")


def _table(tickets: tuple[TicketShown, ...]) -> "Table":
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("id", "name", "account", "good for", "ends", "last used", "held by"):
        grid.add_column(title, overflow="fold", no_wrap=title == "id")  # it is there to be copied
    for one in tickets:
        cells = (one.id, one.name, one.account, ", ".join(one.verbs), _end(one), _used(one), _holder(one))
        grid.add_row(*(clean(cell) for cell in cells))
    return grid


def _end(one: TicketShown) -> str:
    if one.expires_at:
        return until(one.expires_at)
    return "with its holder" if one.holder else "when revoked"


def _holder(one: TicketShown) -> str:
    return f"{one.program or 'process'} (pid {one.holder})" if one.holder else "nobody"


def _used(one: TicketShown) -> str:
    return moment(one.used_at, time.time()) if one.used_at else "never"


@ticket.command("revoke")
@click.argument("which", metavar="ID|NAME", shell_complete=completing.tickets)
@options.common
def revoke(which: str, as_json: bool, no_start: bool) -> None:
    """End the ticket with this id, or all with this name, at once."""
    if not which:
        raise Usage("a ticket has an id, or a name", hint="aixtiv ticket list")
    with options.Asking(no_start=no_start) as client:
        done = client.revoke_ticket(which)
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note or "revoked")
