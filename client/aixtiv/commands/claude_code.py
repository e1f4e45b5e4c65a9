"""`aixtiv claude code generate`: a task in words to code, and an offline template where Claude cannot be reached."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

import click
import msgspec
from msgspec import Struct

from aixtiv import claude, fences, offline, show
from aixtiv.claude import Answer, NotClaude, not_found, question
from aixtiv.commands import calling, options
from aixtiv.commands.calling import BODY_LIMIT, Caller, Gone, checked, header, refused
from aixtiv.commands.group import Group
from aixtiv.commands.options import F
from aixtiv.failures import AixtivError, NoDaemon, Offline, Unreachable, Usage

if TYPE_CHECKING:
    from aixtiv.relayed import Relayed

FIRST_BYTE: Final = 15.0  # seconds, the old command's
_SYSTEM: Final = (
    "You write code. Answer with the code alone, in one fenced block, complete and ready to be saved as a file; "
    "put what has to be explained into its comments. The language is {}."
)


class Written(Struct, frozen=True, kw_only=True):
    """What was generated, as `--json` shows it."""

    task: str
    language: str
    source: str  # claude or offline
    code: str
    output: str = ""  # the file that was written; empty: none
    model: str = ""
    account: str = ""
    kind: str = ""  # of the credential that paid
    note: str = ""  # why it was not the first choice
    cut: str = ""  # why the answer stopped, if that was not its own end
    reason: str = ""  # why it is the offline template


@click.group("code", cls=Group)
def code() -> None:
    """Have code written."""


def parameters(function: F) -> F:
    """Of `code generate` and of its old name."""
    for decorate in reversed(
        (
            click.argument("words", nargs=-1, metavar="[TASK]"),
            click.option("--task", "-t", default="", metavar="TEXT", help="What the code should do."),
            click.option("--language", "-l", default="", metavar="NAME", help="In which language (as -o's name says)."),
            click.option(
                "--output",
                "-o",
                type=click.Path(),
                default="",
                metavar="FILE",
                help="Write it there instead of to stdout.",
            ),
            calling.prompt,
            calling.account,
            options.json,
        )
    ):
        function = decorate(function)
    return function


@code.command("generate")
@parameters
def generate(
    words: tuple[str, ...],
    task: str,
    language: str,
    output: str,
    model: str,
    max_tokens: int,
    account: str,
    agent: str,
    no_start: bool,
    as_json: bool,
) -> None:
    """Have Claude write code for TASK.

    The task is an argument, --task or stdin. A file of that name is overwritten by Claude's code, never by the
    template.

    Where Claude cannot be reached within 15 seconds, an offline template takes the place of its answer, marked as
    such, and the exit status is 5.
    """
    if task and words:
        raise Usage("give the task once: as an argument or with --task")
    asked = task or calling.words(words, "there is no task: give one as an argument, with --task or on stdin")
    output = "" if output == "-" else output
    _check_place(output)
    name = offline.language(language, output)
    try:
        with options.Asking(no_start=no_start, agent=agent) as client, Caller(client, account) as caller:
            written = _asked(caller, asked, name, calling.model(model), max_tokens)
    except (Gone, NoDaemon) as gone:
        failure = gone.failure if isinstance(gone, Gone) else gone
        raise _fallen_back(asked, name, output, failure, as_json=as_json) from None
    _deliver(written, output, as_json=as_json)
    if written.cut:
        show.note(written.cut)


def _asked(caller: Caller, task: str, language: str, model: str, max_tokens: int) -> Written:
    """Raises Gone where the endpoint cannot be reached: refused, 404, too late, no network."""
    body = question(task, model=model, system=_SYSTEM.format(language), max_tokens=max_tokens)
    try:
        relayed = caller.call("POST", claude.MESSAGES, body=body, first_byte=FIRST_BYTE)
    except Unreachable as failure:
        raise Gone(failure) from None
    with relayed:
        _check(relayed)
        answer = Answer(header(relayed.headers, "content-type"))
        text = _heard(relayed, answer)
        return Written(
            task=task,
            language=language,
            source="claude",
            code=fences.code(text),
            model=answer.model or model,
            account=relayed.account,
            kind=relayed.kind,
            note=relayed.note,
            cut=answer.note(),
        )


def _heard(pieces: Iterable[bytes], answer: Answer) -> str:
    text: list[str] = []
    try:
        for piece in pieces:
            text += answer.take(piece)
    except Unreachable as failure:
        if failure.code == "timeout" and not text:  # a head came, and then nothing
            raise Gone(failure) from None
        raise
    return "".join([*text, *answer.end()])


def _check(relayed: "Relayed") -> None:
    if relayed.status != 404:
        try:
            return checked(relayed)
        except NotClaude as failure:  # a captive portal, a proxy
            raise Gone(failure) from None
    data = relayed.beginning(BODY_LIMIT)
    refusal = refused(relayed, data)
    raise Gone(refusal) if not_found(data) else refusal


def _check_place(output: str) -> None:
    """Before anything is paid for."""
    path = Path(output or "x")
    if not path.parent.is_dir():
        raise AixtivError(f"there is no folder {path.parent}", hint=f"mkdir -p {quote(str(path.parent))}")
    if path.is_dir():
        raise AixtivError(f"{path} is a folder")
    if output and not os.access(path if path.exists() else path.parent, os.W_OK):
        raise AixtivError(
            f"{path} cannot be written: {os.strerror(errno.EACCES)}", hint=f"ls -ld {quote(str(path.parent))}"
        )


def _deliver(written: Written, output: str, *, as_json: bool) -> None:
    if output:
        _write(Path(output), written.code)
        written = msgspec.structs.replace(written, output=output)
    if as_json:
        show.as_json(show.shape(written))
    elif not output:
        show.part(written.code)


def _write(path: Path, text: str) -> None:
    known = path.exists()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AixtivError(
            f"{path} cannot be written: {error.strerror}", hint=f"ls -ld {quote(str(path.parent))}"
        ) from None
    show.note(f"{'overwrote' if known else 'wrote'} {path}")


def _fallen_back(task: str, language: str, output: str, failure: AixtivError, *, as_json: bool) -> Offline:
    """The template is delivered. Somebody's code is never overwritten by it."""
    text = offline.template(task, language, failure.sentence)
    kept = bool(output) and Path(output).exists()
    written = Written(task=task, language=language, source="offline", code=text, reason=failure.sentence)
    _deliver(written, "" if kept else output, as_json=as_json)
    place = f"; {output} is left as it was" if kept else ""
    return Offline(
        f"this is the offline template and not Claude's answer{place}; why: {failure.sentence}",
        hint=failure.hint or "aixtiv doctor",
    )
