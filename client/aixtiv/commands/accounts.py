"""`aixtiv accounts`: the accounts in a table, and which of them is used here."""

import os
from collections.abc import Sequence

import click

from aixtiv import people, show, which
from aixtiv.commands import options
from aixtiv_protocol.replies import Account


@click.command("accounts")
@options.common
def accounts(as_json: bool, no_start: bool) -> None:
    """List the accounts, and which is used in this folder.

    Used is the one that AIXTIV_ACCOUNT names; else the one that `.aixtiv.toml` names, in this folder or the nearest
    above it; else the config's `default-account`; else the only one there is.
    """
    which.tell_of_passed_by()
    with options.Asking(no_start=no_start) as client:
        found = client.accounts()
    used = which.used(os.environ, found)
    if as_json:
        listed = [show.shape(account) for account in found]
        show.as_json({"accounts": listed, "used": used.account, "why": used.why})
    elif found:
        _show(found, used)
    else:
        show.note("no account yet")
        show.hint("aixtiv login NAME")


def _show(found: Sequence[Account], used: which.Meant) -> None:
    people.table(tuple(found), used.account)
    named = any(account.name == used.account for account in found)
    show.told(f"\n{f'* {used.account}' if named else used.account or 'none'} is used here: {used.why}")
    show.hint(used.hint)
