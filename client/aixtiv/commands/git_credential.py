"""`aixtiv git-credential`, which is also `git-credential-aixtiv`: a credential helper of git."""

import sys

import click

from aixtiv import completing, show
from aixtiv.commands import options
from aixtiv.failures import AixtivError, Locked, NoAccount, NoDaemon, Usage
from aixtiv.integrations import git

LIFE = 60  # seconds a token must still have: what git may need until it is on its way


@click.command("git-credential")
@click.argument("operation", metavar="get|store|erase", shell_complete=completing.operations)
@options.account_to_be_typed
@options.agents_id
@options.no_start
def git_credential(operation: str, account: str, agent: str, no_start: bool) -> None:
    """Give git a token for the hosts that an account names.

    Once: git config --global credential.helper aixtiv, and in the config hosts = ["github.com"] below [account.NAME].
    For any other host git hears nothing, and goes on to its next helper.
    """
    if operation not in {"get", "erase"}:
        return  # there is nothing to store, and what git may ask one day is not known (gitcredentials(7))
    wanted = git.read(_heard())
    if not wanted.url:
        return
    with options.Asking(no_start=no_start, agent=agent) as client:
        try:
            if operation == "get":
                found = client.host_token(wanted.url, account, username=wanted.username, min_ttl=LIFE)
                show.result(git.written(found, wanted))
            elif wanted.rejected:
                client.host_token(wanted.url, account, username=wanted.username, rejected=wanted.rejected)
        except NoAccount:
            return  # another helper's, or nobody's
        except (Locked, NoDaemon):
            raise  # which host is whose is not known then
        except AixtivError:
            if operation == "get":
                show.result(git.QUIT)
            raise


def _heard() -> str:
    """What git says, up to an empty line or the end."""
    lines: list[str] = []
    size = 0
    for line in sys.stdin:
        if not line.strip("\r\n"):
            break
        size += len(line)
        if size > git.LONGEST:
            raise Usage("git says more than a credential can be")
        lines.append(line.rstrip("\r\n"))
    return "\n".join(lines)
