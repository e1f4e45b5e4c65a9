"""`aixtiv claude …`: calls of Claude's API through the daemon, which attaches the credential."""

import click

from aixtiv.commands.claude_api import api
from aixtiv.commands.claude_ask import ask
from aixtiv.commands.claude_code import code
from aixtiv.commands.group import Group


@click.group("claude", cls=Group)
def claude() -> None:
    """Call Claude's API; the daemon attaches the credential.

    The account is --account, else AIXTIV_ACCOUNT, else the one in .aixtiv.toml here or above, else `account` of the
    config's [claude], else anthropic. Its sign-in pays; the API key does where there is none that works, and a warning
    says so.
    """


claude.add_command(ask)
claude.add_command(code)
claude.add_command(api)
