"""`aixtiv watch`: what happens, as it happens."""

import click

from aixtiv import people, show
from aixtiv.commands import options


@click.command("watch")
@options.common
def watch(as_json: bool, no_start: bool) -> None:
    """Print what happens, one line an event, until Ctrl-C.

    With --json, one JSON object a line.
    """
    with options.Asking(no_start=no_start) as client, client.watch() as events:
        for event in events:
            if as_json:
                show.as_json(show.shape(event))
            else:
                show.told(people.happening(event))
