"""`aixtiv logout`: revokes and forgets."""

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv_protocol.replies import LoggedOut


@click.command("logout")
@options.account_typed
@options.common
def logout(account: str, as_json: bool, no_start: bool) -> None:
    """Revoke at the provider, then forget.

    Where the provider cannot be told, or has no revocation, it is forgotten all the same, and the answer says so. An
    API key beside the sign-in is forgotten with it. A sign-in that is open is ended, too; where one is, and the
    account is an API key, that is all, and the key stays.
    """
    with options.Asking(no_start=no_start) as client:
        told(client.logout(account), as_json=as_json)


def told(gone: LoggedOut, *, as_json: bool) -> None:
    if as_json:
        show.as_json(show.shape(gone))
        return
    if gone.remains:
        show.result(f"ended the open sign-in to {gone.account}")
        show.note(gone.note)
        show.hint(f"aixtiv api-key remove {gone.account}")
        return
    where = "here and at the provider" if gone.revoked else "here"
    show.result(f"signed out of {gone.account} {where}")
    if gone.note:
        show.note(gone.note)
