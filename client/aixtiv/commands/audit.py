"""`aixtiv audit`: who used which credential for what, and whether the log of it is whole."""

import time

import click

from aixtiv import completing, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import AixtivError, NoDaemon
from aixtiv_protocol.replies import AuditRecord

COUNT = options.Number("count", 1_000_000, whole=True)


@click.group("audit", cls=Group, invoke_without_command=True)
@click.option("--limit", type=COUNT, default=100, help="How many records, the newest (100); 0: all.")
@click.option(
    "--account",
    default="",
    metavar="NAME",
    help="Only what this account was used for.",
    shell_complete=completing.accounts,
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@options.common
@click.pass_context
def audit(ctx: click.Context, limit: int, account: str, follow: bool, as_json: bool, no_start: bool) -> None:
    """Print what happened to your credentials, the newest last.

    With --json, one JSON object a line.
    """
    if ctx.invoked_subcommand is not None:
        return
    records = 0
    with options.Asking(no_start=no_start) as client, client.audit(limit, account, follow=follow) as found:
        try:
            for records, record in enumerate(found, 1):  # noqa: B007  # how many there were is wanted afterwards
                if as_json:
                    show.as_json(show.shape(record))
                else:
                    show.told(line(record))
        except NoDaemon:  # it was stopped: that is the end of what happens
            if not follow:
                raise
    if not records and not as_json:
        show.note("there is no such record yet")


@audit.command("verify")
@options.common
def verify(as_json: bool, no_start: bool) -> None:
    """Prove that no record was altered, moved or taken away.

    Exit status 1 where one was.
    """
    with options.Asking(no_start=no_start) as client:
        verdict = client.audit_verify()
    if as_json:
        show.as_json(show.shape(verdict))
    elif verdict.intact:
        locked = f"; {verdict.plain} written while the vault was locked, and not proven" if verdict.plain else ""
        dropped = f"; those before record {verdict.first} were dropped" if verdict.first > 1 else ""
        show.result(f"the audit log is whole: {_records(verdict.records)}{dropped}{locked}")
    if not verdict.intact:
        raise AixtivError(f"the audit log is not whole: {verdict.problem}", hint="aixtiv audit new")
    if verdict.problem:
        show.note(verdict.problem)


@audit.command("new")
@options.common
def new(as_json: bool, no_start: bool) -> None:
    """Put the log aside, and begin another.

    The first record of the new one says how the old one ended.
    """
    with options.Asking(no_start=no_start) as client:
        done = client.audit_new()
    if as_json:
        show.as_json(show.shape(done))
    else:
        show.result(done.note)


def line(record: AuditRecord) -> str:
    """One line: when, what, which account, how it went, and for whom."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))
    what = record.what if record.ok or record.what == "denied" else f"{record.what} failed"
    how = [record.detail]
    if record.what == "relay":
        how += [f"{record.status or 'no answer'}", f"{record.sent} bytes sent, {record.received} received"]
    if record.count > 1:
        how.append(f"{record.count} times in {max(0.0, record.last_at - record.at):.1f} s")
    doubt = "not proven: written while locked" if record.plain else ""
    words = (when, f"{what:<12}", record.account, ", ".join(word for word in how if word), _who(record), doubt)
    return "  ".join(word for word in words if word).rstrip()


def _who(record: AuditRecord) -> str:
    program = record.program or ("an unknown program" if record.pid else "")
    unit = f", {record.unit}" if record.unit.endswith(".service") else ""  # a scope is where a person types
    who = f"{program} (pid {record.pid}{unit})" if record.pid else program
    extra = [f"agent {record.agent}" if record.agent else "", f"ticket {record.ticket}" if record.ticket else ""]
    return ", ".join(word for word in (f"by {who}" if who else "", *extra) if word)


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"
