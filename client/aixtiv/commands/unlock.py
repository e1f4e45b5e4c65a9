"""`aixtiv unlock`: opens a locked vault."""

import sys
from typing import Final

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options, passphrases
from aixtiv.failures import Locked
from aixtiv_protocol.replies import Done

TRIES: Final = 3


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
        chosen = passphrases.new("the vault")
        done = client.unlock(chosen)
        passphrases.doubt(chosen, "the store")
        return done
    if vault.key_source in ("passphrase", ""):
        return _tried(client)
    return client.unlock()


def _tried(client: Client) -> Done:
    """A person at a terminal may mistype; a script that is wrong once is wrong."""
    for _ in range(TRIES - 1 if sys.stdin.isatty() else 0):
        try:
            return client.unlock(passphrases.present())
        except Locked as failure:
            if failure.code != "key_failed":
                raise
            show.refusal(failure)
    return client.unlock(passphrases.present())
