"""`aixtiv export`: a backup of every account, sealed to a passphrase."""

from pathlib import Path
from typing import Final

import click

from aixtiv import backup, show
from aixtiv.commands import options
from aixtiv.failures import AixtivError, Locked
from aixtiv_protocol.replies import Done

SHORT: Final = 12  # characters below which a passphrase can be guessed by whoever has the file

SPENT: Final = (
    "where a provider gives a new refresh token with each refresh (most do), the one in the backup is spent as soon as"
    " the account is refreshed: then a restored account has to be signed in to again"
)


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@options.common
def export(file: Path, as_json: bool, no_start: bool) -> None:
    """Write a backup of every account to FILE, sealed to a passphrase.

    Asks for the vault's own passphrase, where it has one, then twice for the backup's; where stdin is no terminal, each
    is a line of it. `aixtiv restore FILE` brings the accounts back.
    """
    backup.check_place(file)
    with options.Asking(no_start=no_start) as client:
        daemon = client.status()
        if daemon.locked:
            raise Locked(hint="aixtiv unlock")
        own = options.secret("the vault's passphrase") if daemon.key_source == "passphrase" else None
        new = options.secret("a passphrase for the backup", again="the same again")
        try:
            with client.export(new, own) as pieces:
                size = backup.write(file, (piece.data for piece in pieces))
        except Locked as failure:
            raise refused(failure) from None
    if as_json:
        show.as_json(show.shape(Done(note=f"{size} bytes")))
    else:
        show.result(f"sealed every account into {file} ({size} bytes)")
    if daemon.damaged:
        show.warning(f"{daemon.damaged} records of the store fail their seal, and are not in it")
    if len(new) < SHORT:
        show.warning(f"a passphrase of {len(new)} characters can be guessed by whoever has the file")
    show.note(SPENT)


def refused(failure: Locked) -> AixtivError:
    """A wrong passphrase is no locked vault: `aixtiv unlock` would not help."""
    if failure.code != "key_failed":
        return failure
    return AixtivError(failure.sentence, hint="" if failure.hint == "aixtiv unlock" else failure.hint)
