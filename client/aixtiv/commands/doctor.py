"""`aixtiv doctor`: finds what is wrong, and proves it."""

import sys
from typing import Final

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.doctor.finding import Finding, Repair
from aixtiv.failures import AixtivError

_MARKS: Final = {"fine": "✓", "wrong": "✗", "skipped": "–"}
_LETTERS: Final = {"fine": "+", "wrong": "!", "skipped": "-"}
_COLOURS: Final = {"fine": "\x1b[32m", "wrong": "\x1b[31m", "skipped": "\x1b[2m"}
_WIDTH: Final = 15  # of the longest name


@click.command("doctor")
@options.account
@click.option("--fix", is_flag=True, help="Mend what is safe to mend.")
@click.option("--yes", "-y", is_flag=True, help="With --fix: do not ask before the daemon is restarted.")
@options.common
def doctor(account: str, fix: bool, yes: bool, as_json: bool, no_start: bool) -> None:
    """Find out what is wrong, and prove it.

    Looks at this machine, this shell and the daemon, asks the issuers and Claude's API, and says in a line each what
    is as it should be and what is not, with the command that mends it. Nothing that it asks costs anything. Exits with
    1 if something is wrong.
    """
    from aixtiv.doctor import look  # noqa: PLC0415  # heavy: only this command needs it
    from aixtiv.doctor.examination import Examination  # noqa: PLC0415  # as above

    def may(repair: Repair) -> bool:
        return yes or _asked(repair)

    with options.Asking(no_start=no_start) as client:
        examination = Examination(lambda: look.situation(client, account), fix=fix, may=may)
        found = []
        for finding in examination.findings():
            found.append(finding)
            if not as_json:
                _show(finding)
    bad = [finding for finding in found if finding.verdict == "wrong"]
    if as_json:
        show.as_json({"ok": not bad, "findings": [_plain(finding) for finding in found]})
    if bad:
        count = "one thing is" if len(bad) == 1 else f"{len(bad)} things are"
        safe = not fix and any(finding.repair for finding in bad)
        raise AixtivError(f"{count} wrong", hint="aixtiv doctor --fix" if safe else "")


def _asked(repair: Repair) -> bool:
    if not sys.stdin.isatty():
        return False
    return click.confirm(f"{repair.question}?", err=True)


def _show(finding: Finding) -> None:
    mark = _mark(finding.verdict)
    if show.colourful(sys.stdout):
        mark = f"{_COLOURS[finding.verdict]}{mark}\x1b[0m"
    word = "fixed: " if finding.fixed else ""
    about = f"{finding.account}: " if finding.account and not finding.sentence.startswith(finding.account) else ""
    show.entry(mark, f"{finding.name:<{_WIDTH}}", f"{word}{about}{finding.sentence}")
    if finding.hint:
        show.result(f"  {'':<{_WIDTH}} hint: {finding.hint}")  # on one line, so that it can be copied


def _mark(verdict: str) -> str:
    """In a locale that lacks the signs, a letter."""
    try:
        _MARKS[verdict].encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _LETTERS[verdict]
    return _MARKS[verdict]


def _plain(finding: Finding) -> dict[str, object]:
    names = ("name", "verdict", "sentence", "hint", "account", "fixed")
    return {name: getattr(finding, name) for name in names}
