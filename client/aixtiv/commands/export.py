"""`aixtiv export`: a backup of every account, sealed to a passphrase."""

from shlex import quote
from typing import Final

import click

from aixtiv import backup, show
from aixtiv.client import Client
from aixtiv.commands import options, passphrases
from aixtiv.commands.passphrases import of_an_open_vault
from aixtiv.failures import Denied, Locked
from aixtiv_protocol.replies import DaemonStatus, Done

SPENT: Final = (
    "where a provider gives a new refresh token with each refresh (most do), the one in the backup is spent as soon as"
    " the account is refreshed: then a restored account has to be signed in to again"
)


@click.command("export")
@click.argument("file", type=click.Path())
@options.common
def export(file: str, as_json: bool, no_start: bool) -> None:
    """Write a sealed backup of every account to FILE.

    It is sealed to a passphrase. Asks for the vault's own, where it has one, then twice for the backup's; where stdin
    is no terminal, each is a line of it. `aixtiv restore FILE` brings the accounts back.
    """
    path = backup.named(file, "export")
    backup.check_place(path)
    with options.Asking(no_start=no_start) as client:
        daemon = client.status()
        if daemon.locked:
            raise Locked(hint="aixtiv unlock")
        own = passphrases.present() if daemon.key_source == "passphrase" else None
        new = passphrases.new("the backup")
        with of_an_open_vault(f"aixtiv export {quote(file)}"), client.export(new, own) as pieces:
            size = backup.write(path, (piece.data for piece in pieces))
        empty = _empty(client, daemon)
    if as_json:
        show.as_json(show.shape(Done(note=f"{size} bytes")))
    else:
        show.result(f"sealed {'no' if empty else 'every'} account into {path} ({size} bytes)")
    if empty:
        show.warning("there is no account yet, so that this backup holds none")
    if daemon.damaged:
        show.warning(f"{daemon.damaged} records of the store fail their seal, and are not in it")
    passphrases.doubt(new, "the file")
    if not empty:
        show.note(SPENT)


def _empty(client: Client, daemon: DaemonStatus) -> bool:
    """Whether there is no account. Of some, whoever asks may not be told."""
    try:
        return not daemon.accounts and not client.accounts()
    except Denied:
        return False
