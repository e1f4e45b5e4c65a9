"""`aixtiv access explain`: what a process may do, by which rule of the config, and why."""

from typing import TYPE_CHECKING, Final

import click

from aixtiv import completing, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.words import clean
from aixtiv_protocol.replies import Decision, Explained

if TYPE_CHECKING:
    from rich.table import Table

PID: Final = options.Number("pid", 2**31 - 1, whole=True)


@click.group("access", cls=Group)
def access() -> None:
    """Ask who may do what, by the rules in the config."""


@access.command("explain")
@click.option("--pid", type=PID, default=0, metavar="PID", help="Of this process, instead of the one that asks.")
@click.option("--path", default="", metavar="PATH", help="Of a relayed call: may that one be made? /v1/messages")
@click.argument(
    "account",
    required=False,
    default="",
    metavar="[ACCOUNT]",
    callback=options.no_secret,
    shell_complete=completing.accounts,
)
@options.common
def explain(pid: int, path: str, account: str, as_json: bool, no_start: bool) -> None:
    """Print what a process may do, and which rule decides.

    It says, too, what the process is taken for. Without --pid it is about whoever runs this command: your shell, or a
    script.
    """
    with options.Asking(no_start=no_start) as client:
        found = client.explain(pid, account, path)
    if as_json:
        show.as_json(show.shape(found))
        return
    show.pairs(_process(found))
    show.result("")
    show.draw(_table(found))
    for said in (_of_the_path(one, path) for one in found.decisions if path and one.account):
        show.result(said)
    if found.note:
        show.note(found.note)


def _process(found: Explained) -> list[tuple[str, str]]:
    script = f"{found.script} (its own word)" if found.script else ""
    through = f"aixtiv (pid {found.through})" if found.through else ""
    rows = [("executable", found.executable or "(unknown)"), ("script", script), ("unit", found.unit)]
    rows += [("cgroup", found.cgroup), ("asks through", through)]
    return [("pid", str(found.pid) if found.pid else "(unknown)"), *((name, value) for name, value in rows if value)]


def _table(found: Explained) -> "Table":
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("account", "may", "why"):
        grid.add_column(title, overflow="fold")
    for decision in found.decisions:
        grid.add_row(*(clean(cell) for cell in _cells(decision)))
    return grid


def _of_the_path(decision: Decision, path: str) -> str:
    """Whether that call may be made. Where only its path is in the way, the answer has the paths that are not."""
    by = f"rule {decision.rule}" if decision.rule else "the default"
    if "relay" in decision.rights:
        verdict = f"allowed by {by}"
    elif decision.paths:
        verdict = f"not allowed, {by} allows only {' and '.join(decision.paths)}"
    else:
        verdict = f"not allowed, {by} lets no call be made"
    return f"{path} with {decision.account}: {verdict}"


def _cells(decision: Decision) -> tuple[str, str, str]:
    below = f"; calls only below {' and '.join(decision.paths)}" if decision.paths else ""
    return decision.account or "(none)", " ".join(decision.rights) or "nothing", decision.why + below
