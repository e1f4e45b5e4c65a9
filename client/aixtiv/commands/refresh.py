"""`aixtiv refresh`: refreshes now."""

import click

from aixtiv import people, show
from aixtiv.commands import options


@click.command("refresh")
@options.account
@click.option("--wait", type=options.WAIT, default=30.0, help="Seconds to wait for it (30).")
@options.common
def refresh(account: str, wait: float, as_json: bool, no_start: bool) -> None:
    """Refresh now, whatever the token's age.

    Also how to try a quarantined account again, after its cause is mended.
    """
    with options.Asking(no_start=no_start) as client:
        found = client.refresh(account, wait=wait)
    if as_json:
        show.as_json(show.shape(found))
    else:
        show.result(f"refreshed {found.name}; the token {people.life(found)}")
