"""`aixtiv metrics`: counters and gauges for Prometheus."""

import click

from aixtiv import show
from aixtiv.commands import options


@click.command("metrics")
@click.option("--accounts", is_flag=True, help="Name each account, with when its token ends. Otherwise only how many.")
@options.common
def metrics(accounts: bool, as_json: bool, no_start: bool) -> None:
    """Print counters and gauges in Prometheus' text format.

    No secret is among them, and no account's name unless asked for. See docs/notices.md for how they are scraped.
    """
    with options.Asking(no_start=no_start) as client:
        text = client.metrics(accounts=accounts)
    if as_json:
        show.as_json({"text": text})
    else:
        show.result(text.rstrip("\n"))
