"""`aixtiv stop`: ends the daemon."""

import click

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import AixtivError, NotRunning
from aixtiv.service.ending import see_off
from aixtiv_protocol.replies import Done


@click.command("stop")
@options.json
def stop(as_json: bool) -> None:
    """End the daemon.

    Refreshes that are under way are finished first. The next command starts it again.
    """
    try:
        with Client() as client:  # never started only to be stopped
            pid = _pid(client)
            with options.signalling(client):
                client.stop()
        if pid:
            see_off(pid)
        done = Done(note="stopped")
    except NotRunning:
        done = Done(note="the daemon was not running")
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note)


def _pid(client: Client) -> int:
    """Of the daemon; 0 where it cannot say: it is of another version, or has more to say than a message holds."""
    try:
        return client.status().pid
    except NotRunning:
        raise
    except AixtivError:
        return 0
