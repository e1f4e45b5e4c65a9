"""`aixtiv reload`: the daemon reads its config again."""

import click

from aixtiv import show
from aixtiv.commands import options


@click.command("reload")
@options.common
def reload(as_json: bool, no_start: bool) -> None:
    """Read the config again.

    All of it, or nothing where something is wrong in it.
    """
    with options.Asking(no_start=no_start) as client, options.signalling(client):
        done = client.reload()
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note or "reloaded")
