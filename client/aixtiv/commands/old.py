"""The names of the command that this one replaces: what they mean now, or what stands in their place."""

import click

from aixtiv import completing
from aixtiv.commands import claude_code, options
from aixtiv.commands.callback import finish
from aixtiv.commands.login import login as new_login
from aixtiv.commands.verify import verify as new_verify
from aixtiv.failures import Usage


@click.command("auth:oauth2-login")
@click.option(
    "--provider", "-p", default="anthropic", shell_complete=completing.providers, help="Where to sign in (anthropic)."
)
@options.scopes("--scopes", "-s", help="Scopes, separated by spaces or commas.")
@click.option("--non-interactive", "-n", is_flag=True, help="Print the address and how to finish, and do not wait.")
@options.common
@click.pass_context
def login(
    ctx: click.Context,
    provider: str,
    scopes: tuple[str, ...],
    non_interactive: bool,
    as_json: bool,
    no_start: bool,
) -> None:
    """The old name of `aixtiv login`."""
    ctx.invoke(
        new_login,
        account=provider,
        scopes=scopes,
        non_interactive=non_interactive,
        as_json=as_json,
        no_start=no_start,
    )


@click.command("auth:oauth2-callback")
@click.argument("words", nargs=-1, metavar="[ADDRESS]")
@options.common
def callback(words: tuple[str, ...], as_json: bool, no_start: bool) -> None:
    """The old name of `aixtiv callback`."""
    finish(words, as_json=as_json, no_start=no_start)


@click.command("auth:verify")
@options.account
@options.common
@click.pass_context
def verify(ctx: click.Context, account: str, as_json: bool, no_start: bool) -> None:
    """The old name of `aixtiv verify`."""
    ctx.invoke(new_verify, account=account, as_json=as_json, no_start=no_start)


@click.command("claude:code:generate")
@claude_code.parameters
@click.pass_context
def generate(ctx: click.Context, /, **typed: object) -> None:
    """The old name of `aixtiv claude code generate`."""
    ctx.invoke(claude_code.generate, **typed)


@click.command(
    "gone", context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False
)
@click.pass_context
def gone(ctx: click.Context) -> None:
    """Any other `a:b` name."""
    raise Usage(f"`{ctx.info_name}` is a name of the old command that this version does not have", hint="aixtiv --help")
