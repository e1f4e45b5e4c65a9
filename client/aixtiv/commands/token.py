"""`aixtiv token`: prints an access token. The plain forms never come here (fast.py)."""

import click

from aixtiv import show
from aixtiv.commands import options


@click.command("token")
@options.account
@click.option("--min-ttl", type=options.LIFE, default=0, help="Seconds of life it must still have.")
@click.option("--wait", type=options.WAIT, default=30.0, help="Seconds to wait for a refresh (30).")
@options.scopes("--scope", help="A scope it must have.")
@options.common
def token(account: str, min_ttl: int, wait: float, scopes: tuple[str, ...], as_json: bool, no_start: bool) -> None:
    """Print an access token, and nothing else.

    The daemon refreshes it first where it has expired, or has less life than --min-ttl.
    """
    with options.Asking(no_start=no_start) as client:
        found = client.token(account, min_ttl=min_ttl, wait=wait, scopes=scopes)
    if as_json:
        show.as_json(show.shape(found) | {"access_token": found.access_token.reveal()})
    else:
        show.result(found.access_token.reveal())
