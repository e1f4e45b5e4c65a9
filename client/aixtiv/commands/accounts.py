"""`aixtiv accounts`: the accounts in a table."""

import click

from aixtiv import people, show
from aixtiv.commands import options


@click.command("accounts")
@options.common
def accounts(as_json: bool, no_start: bool) -> None:
    """List the accounts and their states."""
    with options.Asking(no_start=no_start) as client:
        found = client.accounts()
    if as_json:
        show.as_json({"accounts": [show.shape(account) for account in found]})
    elif found:
        people.table(found)
    else:
        show.note("no account yet")
        show.hint("aixtiv login NAME")
