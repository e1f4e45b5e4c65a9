"""`aixtiv lock`: closes the vault."""

import click

from aixtiv import show
from aixtiv.commands import options


@click.command("lock")
@options.common
def lock(as_json: bool, no_start: bool) -> None:
    """Forget every key and token held in memory.

    Refreshes that are under way are finished first, calls are ended. Until `aixtiv unlock` the daemon answers only
    `status`, `lock`, `unlock` and `stop`.
    """
    with options.Asking(no_start=no_start) as client, options.signalling(client):
        done = client.lock()
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note or "locked")
