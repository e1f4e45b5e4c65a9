"""`aixtiv claude-key`: what Claude Code's `apiKeyHelper` runs."""

from typing import Final

import click

from aixtiv import show
from aixtiv.commands import options

TTL: Final = 3600  # seconds; Claude Code asks again after five minutes, or a 401


@click.command("claude-key")
@options.account
@options.agents_id
@options.no_start
def claude_key(account: str, agent: str, no_start: bool) -> None:
    """Print a ticket for Claude Code, and nothing else.

    It is good for an hour of calls through the daemon's gateway, and for nothing elsewhere. `aixtiv setup claude-code`
    writes the settings that use it.
    """
    with options.Asking(no_start=no_start, agent=agent) as client:
        show.result(client.ticket(account, holder="none", ttl=TTL, name="claude-key").ticket.reveal())
