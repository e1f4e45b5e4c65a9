"""`aixtiv unlock`: opens a locked vault."""

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv_protocol.replies import Done


@click.command("unlock")
@options.common
def unlock(as_json: bool, no_start: bool) -> None:
    """Open a locked vault.

    Asks for the passphrase, which is not shown, or reads it from stdin where that is no terminal. A new vault's
    passphrase is chosen here. Where the key comes from elsewhere, that source is tried again.
    """
    with options.Asking(no_start=no_start) as client:
        done = _unlocked(client)
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note or "unlocked")


def _unlocked(client: Client) -> Done:
    vault = client.status()
    if not vault.locked:
        return Done(note="it is not locked")
    if vault.new_store:
        return client.unlock(options.secret("choose a passphrase", again="the same again"))
    if vault.key_source in ("passphrase", ""):
        return client.unlock(options.secret("passphrase"))
    return client.unlock()
