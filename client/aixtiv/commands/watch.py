"""`aixtiv watch`: what happens, as it happens."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, get_args

import click

from aixtiv import completing, people, show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import AixtivError, NoDaemon
from aixtiv.stream import Stream
from aixtiv_protocol.replies import Event, Happening

_AGAIN: Final = (0.05, 0.2, 0.5, 1.0, 2.0)  # seconds until the next look for a daemon that has ended; then the last


@click.command("watch")
@click.option(
    "--event",
    "names",
    multiple=True,
    metavar="NAME",
    type=click.Choice(get_args(Happening)),
    help="Only what is called so: sign-in-needed, failing, refreshed. Can be repeated.",
)
@click.option(
    "--account",
    default="",
    metavar="NAME",
    callback=options.no_secret,
    shell_complete=completing.accounts,
    help="Only what happens to that account.",
)
@click.option("--once", is_flag=True, help="End after the first.")
@options.common
def watch(names: tuple[str, ...], account: str, once: bool, as_json: bool, no_start: bool) -> None:
    """Print what happens, one line an event, until Ctrl-C.

    It goes on when the daemon is restarted; what happened while there was none is not told. With --json, one JSON
    object a line.
    """
    with options.Asking(no_start=no_start) as client:
        _doubt(client, account)
        for event in _told(client):
            if (names and event.event not in names) or (account and event.account != account):
                continue
            if as_json:
                show.as_json(show.shape(event))
            else:
                show.told(people.happening(event))
            if once:
                return


def _doubt(client: Client, account: str) -> None:
    """It may come later, and whoever may not list the accounts can watch one all the same."""
    with suppress(AixtivError):
        if account and account not in {one.name for one in client.accounts()}:
            show.note(f"there is no account {account} yet; waiting for it")
    client.close()


def _told(client: Client) -> Iterator[Event]:
    """Without end: a daemon that ends is waited for, and not started again by who only watches."""
    events, again = client.watch(), False
    while True:
        with events:
            yield from _until_it_ends(events, again=again)
        show.note("the daemon has ended; waiting for the next one")
        events, again = _found(), True
        show.note("a daemon is there again")


def _until_it_ends(events: Iterator[Event], *, again: bool) -> Iterator[Event]:
    """`again`: not the first, so that a vault which was locked as it began is waited for."""
    try:
        yield from events
    except NoDaemon:
        return
    except AixtivError as failure:
        if failure.code != "busy" and not (again and failure.code == "locked"):  # busy: said by one that is stopping
            raise


def _found() -> Stream[Event]:
    """Of a daemon that answers, as soon as there is one whose vault is open."""
    tries, told = 0, False
    while True:
        try:
            with Client() as client:
                if not client.hello().locked:
                    return client.watch()
            if not told:
                show.note("a daemon is there, and its vault is locked; waiting for the unlock")
                show.hint("aixtiv unlock")
                told = True
        except NoDaemon:
            pass
        time.sleep(_AGAIN[min(tries, len(_AGAIN) - 1)])
        tries += 1
