"""`aixtiv whoami`: who is signed in as an account."""

import click

from aixtiv import people, show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import NoAccount
from aixtiv_protocol.replies import Account


@click.command("whoami")
@options.account
@options.common
def whoami(account: str, as_json: bool, no_start: bool) -> None:
    """Show who is signed in, where, and with which scopes."""
    with options.Asking(no_start=no_start) as client:
        found = _the_one(client, account)
    if as_json:
        show.as_json(show.shape(found))
    else:
        people.identity(found)


def _the_one(client: Client, name: str) -> Account:
    """The account that the daemon would take for `name`; empty is its default."""
    for account in client.accounts():
        if account.name == name or (not name and account.default):
            return account
    try:
        client.token(name, wait=0)  # it has none to give, and the words for why are the daemon's
    except NoAccount as failure:
        failure.hint = failure.hint.replace("aixtiv token", "aixtiv whoami")
        raise
    raise NoAccount(f"{name or 'the account'} was not there a moment ago", hint="aixtiv accounts")
