"""`aixtiv claude-key`: what Claude Code's `apiKeyHelper` runs. The plain forms never come here (fast.py)."""

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.fast import KEY_LIFE


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
        show.result(client.ticket(account, holder="none", ttl=KEY_LIFE, name="claude-key").ticket.reveal())
