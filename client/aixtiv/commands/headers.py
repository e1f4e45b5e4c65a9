"""`aixtiv headers`: a token as the headers of a request, for `headersHelper` and its like."""

import os
import re
from typing import Final

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.failures import Usage

_URL: Final = "CLAUDE_CODE_MCP_SERVER_URL"
"""Says a `headersHelper` of Claude Code which server it is asked for."""

_LIFE: Final = 60  # seconds a token must still have: it goes along with more than one request


@click.command("headers")
@options.account
@click.option("--host", default="", metavar="URL", help="Where they are sent: it has to be among the account's hosts.")
@click.option("--header", default="", metavar="NAME", help="The lone token in this header, instead of Authorization.")
@options.agents_id
@options.no_start
def headers(account: str, host: str, header: str, agent: str, no_start: bool) -> None:
    """Print the headers that carry a token, as one JSON object.

    For Claude Code's headersHelper, which says the server's address itself: then that has to be among the account's
    hosts, too.
    """
    if header and not re.fullmatch(r"[A-Za-z0-9-]{1,100}", header):
        raise Usage("expected a header's name: letters, digits and -")
    host = host or os.environ.get(_URL, "")
    with options.Asking(no_start=no_start, agent=agent) as client:
        found = client.host_token(host if "://" in host or not host else f"https://{host}", account, min_ttl=_LIFE)
    token = found.access_token.reveal()
    show.as_json({header: token} if header else {"Authorization": f"Bearer {token}"})
