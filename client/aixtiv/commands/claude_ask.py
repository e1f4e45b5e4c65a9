"""`aixtiv claude ask`: a question, and the answer as it comes."""

from collections.abc import Iterable

import click
import msgspec

from aixtiv import claude, show
from aixtiv.claude import Answer, Broken, question
from aixtiv.commands import calling, options
from aixtiv.commands.calling import Caller, checked, header


@click.command("ask")
@click.argument("words", nargs=-1, metavar="[PROMPT]")
@calling.prompt
@click.option("--system", "-s", default="", metavar="TEXT", help="What Claude should be, before the prompt.")
@calling.account
@options.json
def ask(
    words: tuple[str, ...],
    model: str,
    system: str,
    max_tokens: int,
    account: str,
    agent: str,
    no_start: bool,
    as_json: bool,
) -> None:
    """Ask Claude, and print the answer as it comes.

    The prompt is the argument, or what comes on stdin, or both: a question, and what it is about.

    The model is --model, else AIXTIV_CLAUDE_MODEL, else ANTHROPIC_MODEL.

    \b
    aixtiv claude ask why is the sky blue
    git diff | aixtiv claude ask write the commit message
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    prompt = calling.words(words, "there is no prompt: give one as an argument or on stdin")
    body = question(prompt, model=calling.model(model), system=system, max_tokens=max_tokens, stream=not as_json)
    with (
        options.Asking(no_start=no_start, agent=agent) as client,
        Caller(client, account) as caller,
        caller.call("POST", claude.MESSAGES, body=body) as relayed,
    ):
        checked(relayed)
        if as_json:
            _print_whole(b"".join(relayed))
        else:
            _print_as_it_comes(relayed, Answer(header(relayed.headers, "content-type")))


def _print_whole(body: bytes) -> None:
    try:
        show.as_json(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Broken("Claude's answer cannot be read: it is not JSON") from None


def _print_as_it_comes(relayed: Iterable[bytes], answer: Answer) -> None:
    last = ""
    try:
        for piece in relayed:
            for text in answer.take(piece):
                show.part(text)
                last = text or last
        for text in answer.end():
            show.part(text)
            last = text or last
    finally:
        if last and not last.endswith("\n"):
            show.part("\n")
    if note := answer.note():
        show.note(note)
