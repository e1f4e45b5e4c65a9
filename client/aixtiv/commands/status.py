"""`aixtiv status`: how the daemon, its store and its accounts are."""

import sys

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.failures import Usage


@click.command("status")
@click.option("--watch", "-w", "watched", is_flag=True, help="Go on showing it, as it changes, until Ctrl-C.")
@click.option("--verbose", "-v", is_flag=True, help="Also where the store, the config and the sockets are.")
@options.common
def status(watched: bool, verbose: bool, as_json: bool, no_start: bool) -> None:
    """Show the daemon, its store and every account.

    For each account: its state, how long its token lives, when it is refreshed next, what went wrong last, and the
    command that mends it.
    """
    if watched:
        _check(as_json=as_json)
    with options.Asking(no_start=no_start) as client:
        if as_json:
            show.as_json(show.shape(client.status()))
            return
        from aixtiv import lookout  # noqa: PLC0415  # heavy: rich, which a program can do without

        seen = lookout.look(client)
    if watched:
        lookout.watch(seen, verbose=verbose)
    lookout.tell(seen, verbose=verbose)


def _check(*, as_json: bool) -> None:
    if as_json:
        raise Usage("--watch is for people, and does not go with --json", hint="aixtiv watch --json")
    if not show.movable(sys.stdout):
        raise Usage("--watch needs a terminal that can be drawn over", hint="aixtiv watch")
