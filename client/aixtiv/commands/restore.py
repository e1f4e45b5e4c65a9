"""`aixtiv restore`: accounts from a backup."""

from pathlib import Path
from shlex import quote

import click

from aixtiv import backup, show
from aixtiv.commands import options
from aixtiv.commands.export import SPENT, refused
from aixtiv.failures import Locked
from aixtiv.words import moment
from aixtiv_protocol.replies import Restored


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Also where there is an account of that name.")
@options.common
def restore(file: Path, replace: bool, as_json: bool, no_start: bool) -> None:
    """Bring the accounts in FILE back, all of them or none.

    Asks for the backup's passphrase, or reads it from stdin where that is no terminal. An account that is there stays
    as it is, unless --replace. Restore only what you made yourself: a backup says where your calls are sent.
    """
    sealed = backup.read(file)
    with options.Asking(no_start=no_start) as client:
        if client.status().locked:
            raise Locked(hint="aixtiv unlock")
        passphrase = options.secret("the backup's passphrase")
        try:
            done = client.restore(sealed, passphrase, replace=replace)
        except Locked as failure:
            raise refused(failure) from None
    if as_json:
        show.as_json(show.shape(done))
        return
    _tell(done, file)


def _tell(done: Restored, file: Path) -> None:
    made = f"of {moment(done.made_at)}" if done.made_at else "of an unknown time"
    if done.accounts:
        show.result(f"restored {', '.join(done.accounts)} from a backup {made}")
        show.note(SPENT)
    else:
        show.result(f"nothing was restored from a backup {made}")
    if done.kept:
        again = f"`aixtiv restore {quote(str(file))} --replace` takes them, too"
        show.note(f"there already, and as before: {', '.join(done.kept)}; {again}")
