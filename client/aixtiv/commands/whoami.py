"""`aixtiv whoami`: who is signed in as an account."""

import click

from aixtiv import people, show
from aixtiv.commands import options
from aixtiv.failures import NoAccount
from aixtiv_protocol.replies import Account


@click.command("whoami")
@options.account
@options.common
def whoami(account: str, as_json: bool, no_start: bool) -> None:
    """Show who is signed in, where, and with which scopes."""
    with options.Asking(no_start=no_start) as client:
        found = _the_one(client.accounts(), account)
    if as_json:
        show.as_json(show.shape(found))
    else:
        people.identity(found)


def _the_one(accounts: tuple[Account, ...], name: str) -> Account:
    """The account that the daemon would take for `name`; empty is its default."""
    for account in accounts:
        if account.name == name or (not name and account.default):
            return account
    if name:
        raise NoAccount(f"no account is called {name}", hint=f"aixtiv login {name}")
    if not accounts:
        raise NoAccount("nobody has signed in to anything yet", hint="aixtiv login NAME")
    raise NoAccount("no account was named, and there is no default", hint="aixtiv accounts")
