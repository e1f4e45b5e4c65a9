"""`aixtiv logout`: revokes and forgets."""

import click

from aixtiv import show
from aixtiv.commands import options


@click.command("logout")
@options.account
@options.common
def logout(account: str, as_json: bool, no_start: bool) -> None:
    """Revoke at the provider, then forget.

    Where the provider cannot be told, or has no revocation, it is forgotten all the same, and the answer says so. A
    sign-in that is open is ended, too.
    """
    with options.Asking(no_start=no_start) as client:
        gone = client.logout(account)
    if as_json:
        show.as_json(show.shape(gone))
        return
    where = "here and at the provider" if gone.revoked else "here"
    show.result(f"signed out of {gone.account} {where}")
    if gone.note:
        show.note(gone.note)
