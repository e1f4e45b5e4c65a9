"""`aixtiv exec`: runs a command that can call Claude, and never sees a secret."""

import os
import re
import shlex
import shutil
import signal
import sys
from typing import Final, NoReturn

import click

from aixtiv import environment, launch, show
from aixtiv.commands import options
from aixtiv.failures import AixtivError, NoCommand, NotRunnable, Usage

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMAND: Final = "aixtiv.exec.command"


class _Before(click.Command):
    """What stands behind `--` is the command's, and click never sees it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = args[at + 1 :]
            args = args[:at]
            return super().parse_args(ctx, args)
        typed = list(args)  # click takes away what it has understood
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:  # such as too many arguments, or an option of the command's
            if not typed or typed[0].startswith("-"):
                raise
            raise _behind(typed) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARGUMENTS]"]


def _behind(args: list[str]) -> Usage:
    """Whether the first word is an account or the command, the PATH tells; one that is alone is what should be run."""
    account = args[:1] if len(args) > 1 and not shutil.which(args[0]) else []
    command = args[len(account) :] or ["COMMAND"]
    return Usage("the command stands behind --", hint=shlex.join(["aixtiv", "exec", *account, "--", *command]))


@click.command("exec", cls=_Before)
@options.account
@click.option("--token", "variable", default="", metavar="NAME", help="Put the real token into this variable instead.")
@options.ttl
@options.agents_id
@options.no_start
@click.pass_context
def exec_(ctx: click.Context, account: str, variable: str, ttl: int, agent: str, no_start: bool) -> None:
    """Run a command that can call Claude.

    \b
    aixtiv exec -- claude
    aixtiv exec anthropic/work -- python script.py

    It finds the daemon's gateway in ANTHROPIC_BASE_URL and a ticket in ANTHROPIC_AUTH_TOKEN (and, for other APIs, in
    AIXTIV_BASE_URL and AIXTIV_TICKET). The ticket is good for this account alone, on a port of its own, and dies with
    the command. Signals and exit status are the command's; 126 is that it cannot be run, 127 that there is none.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    command = ctx.meta.get(_COMMAND, [])
    if not command:
        raise _behind([account] if account else [])
    if variable and not _NAME.fullmatch(variable):
        raise Usage("--token takes the name of a variable, as GH_TOKEN is one")
    agent = agent.strip() or environment.agent(os.environ)
    with options.Asking(no_start=no_start, agent=agent) as client:
        if variable:
            token = client.token(account).access_token.reveal()
            made = launch.with_token(os.environ, name=variable, token=token, agent=agent)
        else:
            ticket = client.ticket(account, ttl=ttl, name=os.path.basename(command[0]), port=True)  # noqa: PTH119  # text
            if not ticket.base_url:
                raise AixtivError("the daemon opened no port for the command", hint="aixtiv status")
            made = launch.with_ticket(os.environ, base_url=ticket.base_url, ticket=ticket.ticket.reveal(), agent=agent)
    for note in made.notes:
        show.note(note)
    _become(command, made.environ)


def _become(command: list[str], environ: dict[str, str]) -> NoReturn:
    """This very process goes on as the command: the ticket is held by it, and signals reach it."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and what is ignored stays so
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606  # no shell: that is the point
    except (FileNotFoundError, NotADirectoryError):
        raise NoCommand(f"there is no command {command[0]}") from None
    except OSError as error:
        raise NotRunnable(f"{command[0]} cannot be run: {error.strerror}") from None
