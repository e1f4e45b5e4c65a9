"""`aixtiv account rename|remove|restore`: an account itself, and not what it gives."""

import sys
from shlex import quote
from typing import TYPE_CHECKING

import click

from aixtiv import completing, people, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.commands.logout import told
from aixtiv.failures import AixtivError, NoAccount, SignInNeeded, Usage
from aixtiv.words import clean, moment
from aixtiv_protocol.replies import AccountChanged, Generation

if TYPE_CHECKING:
    from rich.table import Table

NUMBER = options.Number("number", 1_000_000, whole=True)


@click.group("account", cls=Group)
def account() -> None:
    """Rename or remove an account, or bring back what it was."""


@account.command("rename")
@click.argument("old", callback=options.no_secret, shell_complete=completing.accounts)
@click.argument("new", callback=options.no_secret)
@options.common
def rename(old: str, new: str, as_json: bool, no_start: bool) -> None:
    """Call the account OLD by another name.

    Its sign-in, its API key, its tickets and what is kept of it stay, and accounts that live by its identity live on.
    What the config says of OLD is yours to change: it is named.
    """
    with options.Asking(no_start=no_start) as client:
        try:
            changed = client.rename(old, new)
        except NoAccount as failure:
            if failure.hint.startswith("aixtiv account rename "):  # with the name that was meant
                failure.hint += f" {quote(new)}"
            raise
    if as_json:
        show.as_json(show.shape(changed))
        return
    show.result(f"{old} is called {changed.account.name} now")
    if changed.note:
        show.note(changed.note)


@account.command("remove")
@click.argument("name", callback=options.no_secret, shell_complete=completing.accounts)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.common
def remove(name: str, yes: bool, as_json: bool, no_start: bool) -> None:
    """Sign out of NAME and forget it; but ask first.

    As `aixtiv logout` does. Nothing of it is kept: neither an earlier generation nor an API key beside the sign-in.
    """
    if not yes:
        _ask(f"revoke {name} at its provider, and forget it with all that is kept of it", name)
    with options.Asking(no_start=no_start) as client:
        told(client.logout(name), as_json=as_json)


def _ask(question: str, name: str) -> None:
    if not sys.stdin.isatty():
        raise Usage("nobody is there to be asked", hint=f"aixtiv account remove {name} --yes")
    if not click.confirm(show.question(f"{question}?"), err=True):
        raise AixtivError("nothing was changed")


@account.command("restore")
@options.account_typed
@click.option("--list", "listing", is_flag=True, help="Show what there is, and change nothing.")
@click.option("--generation", type=NUMBER, default=0, metavar="N", help="Which one (the newest that is not spent).")
@click.option("--anyway", is_flag=True, help="Also a spent one, though that may end what works now.")
@options.common
def restore(account: str, listing: bool, generation: int, anyway: bool, as_json: bool, no_start: bool) -> None:
    """Bring an earlier generation of ACCOUNT back.

    Each sign-in, each refresh and each change of a key makes a generation, and three at most are kept: for a day, and
    for two the last of a sign-in that was replaced. So one comes back that was replaced by mistake, or put aside. It is
    refreshed at once, which shows whether it is good; and the one that counted before is kept in its turn.
    """
    with options.Asking(no_start=no_start) as client:
        if listing:
            _list(client.generations(account), as_json=as_json)
            return
        changed = client.reinstate(account, generation, anyway=anyway)
    if as_json:
        show.as_json(show.shape(changed))
    else:
        show.told(f"{changed.account.name}: {changed.note}")
    _judge(changed, as_json=as_json)


def _judge(changed: AccountChanged, *, as_json: bool) -> None:
    """Raises where what came back is not good."""
    now = changed.account
    if now.state == "quarantined":
        raise SignInNeeded(now.problem, hint=now.hint)
    if now.problem:
        raise AixtivError(now.problem, hint=now.hint)
    if not as_json:
        nobody = "an API key" if now.kind == "api-key" else "the provider did not say"
        show.pairs([("who", now.who or now.subject or nobody), ("token", people.life(now))])


def _list(found: tuple[Generation, ...], *, as_json: bool) -> None:
    if as_json:
        show.as_json({"generations": [show.shape(one) for one in found]})
        return
    show.draw(_table(found))
    if len(found) == 1:
        show.note("no earlier one is kept")


def _table(found: tuple[Generation, ...]) -> "Table":
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("number", "made", "who", "refresh", "kept until"):
        grid.add_column(title, overflow="fold")
    for one in found:
        cells = (
            str(one.number),
            moment(one.made_at) if one.made_at else "",
            one.who or ("" if one.renewable or one.expires_at else "an API key"),
            "spent" if one.spent else "there" if one.renewable else "none",
            "it counts now" if one.current else moment(one.kept_until),
        )
        grid.add_row(*(clean(cell) for cell in cells))
    return grid
