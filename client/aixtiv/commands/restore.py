"""`aixtiv restore`: accounts from a backup."""

from shlex import quote

import click

from aixtiv import backup, show
from aixtiv.commands import options
from aixtiv.commands.export import SPENT
from aixtiv.commands.passphrases import of_an_open_vault
from aixtiv.failures import Locked, NotUnderstood
from aixtiv.words import moment
from aixtiv_protocol.replies import Restored


@click.command("restore")
@click.argument("file", type=click.Path())
@click.option(
    "--replace", is_flag=True, help="Also where there is an account of that name, unless it works and is newer."
)
@options.common
def restore(file: str, replace: bool, as_json: bool, no_start: bool) -> None:
    """Bring the accounts in FILE back, all of them or none.

    Asks for the backup's passphrase, or reads it from stdin where that is no terminal. An account that is there stays
    as it is, unless --replace; one that works and is newer than the backup stays even so. Restore only what you made
    yourself: a backup says where your calls are sent.
    """
    sealed = backup.read(backup.named(file, "restore"))
    look = f"ls -l {quote(file)}"  # it may have been cut short
    with options.Asking(no_start=no_start) as client:
        if client.status().locked:
            raise Locked(hint="aixtiv unlock")
        passphrase = options.secret("the backup's passphrase")
        try:
            with of_an_open_vault(look):
                done = client.restore(sealed, passphrase, replace=replace)
        except NotUnderstood as failure:
            failure.hint = failure.hint or look
            raise
    if as_json:
        show.as_json(show.shape(done))
        return
    _tell(done, file, replaced=replace)


def _tell(done: Restored, file: str, *, replaced: bool) -> None:
    made = f"of {moment(done.made_at)}" if done.made_at else "of an unknown time"
    if done.accounts:
        show.result(f"restored {', '.join(done.accounts)} from a backup {made}")
        show.note(SPENT)
    elif done.kept:
        show.result(f"nothing was restored from a backup {made}")
    else:
        show.result(f"there is no account in this backup {made}")
    if done.kept and replaced:
        show.note(f"newer than the backup, and as before: {', '.join(done.kept)}; `aixtiv logout NAME` first takes one")
    elif done.kept:
        again = f"`aixtiv restore {quote(file)} --replace` takes them, too"
        show.note(f"there already, and as before: {', '.join(done.kept)}; {again}")
