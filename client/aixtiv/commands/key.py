"""`aixtiv key check|rotate|move`: the key that seals the vault."""

from typing import Final, cast

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options, passphrases
from aixtiv.commands.group import Group
from aixtiv.commands.passphrases import of_an_open_vault
from aixtiv.failures import AixtivError, Usage
from aixtiv.words import moment
from aixtiv_protocol.replies import Done, KeyChecked
from aixtiv_protocol.requests import KeySource

SOURCES: Final = ("keyring", "passphrase", "systemd", "file")


@click.group("key", cls=Group)
def key() -> None:
    """Check, rotate or move the key that seals the vault.

    Where the vault opens with a passphrase, it is asked for.
    """


@key.command("check")
@options.common
def check(as_json: bool, no_start: bool) -> None:
    """Ask for the key once more, and look at every seal.

    Exit status 1 where one does not hold.
    """
    with options.Asking(no_start=no_start) as client, of_an_open_vault("aixtiv key check"):
        found = client.key_check(_present(client))
    if as_json:
        show.as_json(show.shape(found))
    else:
        show.pairs(_rows(found))
    if found.damaged:
        raise AixtivError(f"{found.damaged} seals do not hold; what they seal is kept and not used")


def _rows(found: KeyChecked) -> list[tuple[str, str]]:
    made = f"rotated {moment(found.rotated_at)}" if found.rotated_at else "as old as the store"
    rows = [("key", f"{found.source}; it opens this store"), ("", found.reason), ("stretched", found.cost)]
    rows += [("data key", made), ("seals", f"{found.rows} hold")]
    return [(name, value) for name, value in rows if value]


@key.command("rotate")
@options.common
def rotate(as_json: bool, no_start: bool) -> None:
    """Seal everything anew under a new data key.

    Refreshes that are under way are finished first. Killed at any moment, the store opens with the old or the new one.
    """
    with options.Asking(no_start=no_start) as client, of_an_open_vault("aixtiv key rotate"):
        done = client.key_rotate(_present(client))
    _told(done, as_json=as_json)


@key.command("move")
@click.option("--to", "to", default=None, type=click.Choice(SOURCES), help="Where the key comes from, from now on.")
@options.common
def move(to: str | None, as_json: bool, no_start: bool) -> None:
    """Have the key come from another source, and rotate it.

    With --to passphrase a new one is chosen; that is also how a passphrase is changed.
    """
    if not to:
        raise Usage(
            f"it is not said where to: {', '.join(SOURCES[:-1])} or {SOURCES[-1]}", hint="aixtiv key move --help"
        )
    with options.Asking(no_start=no_start) as client, of_an_open_vault(f"aixtiv key move --to {to}"):
        present = _present(client)
        new = passphrases.new("the vault") if to == "passphrase" else None
        done = client.key_move(cast("KeySource", to), passphrase=present, new_passphrase=new)
    _told(done, as_json=as_json)
    if new:
        passphrases.doubt(new, "the store")


def _present(client: Client) -> str | None:
    """The vault's passphrase, where that is its source. While it is locked it cannot be used, so the daemon says so."""
    vault = client.status()
    if vault.key_source != "passphrase" or vault.locked:
        return None
    return passphrases.present()


def _told(done: Done, *, as_json: bool) -> None:
    """What was done, and what a person has to know or to do, on a line each."""
    if as_json:
        show.as_json(show.shape(done))
        return
    first, *others = done.note.split("; ")
    show.result(first)
    for sentence in others:
        show.note(sentence)
