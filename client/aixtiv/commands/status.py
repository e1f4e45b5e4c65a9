"""`aixtiv status`: how the daemon, its store and its accounts are."""

import click

from aixtiv import people, show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import Denied


@click.command("status")
@options.common
def status(as_json: bool, no_start: bool) -> None:
    """Show the daemon, its store and every account.

    For each account: its state, how long its token lives, when it is refreshed next, what went wrong last, and the
    command that mends it.
    """
    with options.Asking(no_start=no_start) as client:
        found = client.status()
        refused = None if found.accounts or found.locked else _refused(client)
    if as_json:
        show.as_json(show.shape(found))
    else:
        people.status(found, refused)


def _refused(client: Client) -> Denied | None:
    """Why no account is told of, where it is a rule that forbids it: status itself is answered to everybody."""
    try:
        client.accounts()
    except Denied as failure:
        return failure
    return None
