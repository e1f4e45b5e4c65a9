"""`aixtiv stop`: ends the daemon."""

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import NotRunning
from aixtiv_protocol.replies import Done


@click.command("stop")
@options.json
def stop(as_json: bool) -> None:
    """End the daemon.

    Refreshes that are under way are finished first. The next command starts it again.
    """
    try:
        with Client() as client:  # never started only to be stopped
            done = client.stop()
    except NotRunning:
        done = Done(note="the daemon was not running")
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note or "stopped")
