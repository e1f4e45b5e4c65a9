"""The whole command: click's words in, one result and one exit status out, every failure in one voice."""

import io
import os
import sys
from pathlib import Path
from typing import Final

import click

from aixtiv import failures, fast, show, which
from aixtiv.commands import aixtiv
from aixtiv_protocol import codec
from aixtiv_protocol.replies import Failure

_EXTRA: Final = "unexpected extra argument"
_OF_CLICK: Final = {"--help", "-h", "--version"}  # what it prints by itself
_OF_COMMANDS: Final = ("--json", "--no-start")  # and not of `aixtiv` itself


def run(words: list[str], answered: bytes = b"") -> int:
    """The exit status. `answered`: what the daemon already said to the fast lane, so that it is not asked twice."""
    _make_whole()
    try:
        _heed(answered)
        return _obey(words)
    except failures.AixtivError as failure:
        if isinstance(failure, failures.Usage):
            failure.hint = failure.hint or f"{_path(words)} --help"
        if isinstance(failure, failures.NoAccount):
            which.traced(failure, os.environ, words)
        if isinstance(failure, failures.Unread | failures.Unwritable):
            # Python would complain once more at exit, when it flushes what it could not write.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(failure, failures.Unread):
            show.error(failure)
        return failure.exit_status
    except (KeyboardInterrupt, click.Abort) as ended:  # click has ended the line on which ^C stands,
        if isinstance(ended, click.Abort) and ended.__cause__ is None:  # unless it stands behind a question
            show.plain("")
        return failures.INTERRUPTED


def _make_whole() -> None:
    """Of streams that were closed, stdout takes nothing and the others lead nowhere; those there can say any name."""
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # for the rest of the process
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115, PTH123  # as above; a write fails
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # in a locale that lacks the letters
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # the protocol refuses what is no text, in a sentence


def _heed(answered: bytes) -> None:
    """Raises what the daemon said to the fast lane, if it said anything that settles the matter."""
    if not answered:
        return
    if answered == fast.SILENCE:
        raise failures.NoAnswer
    try:
        reply = codec.decode_reply(answered)
    except codec.ProtocolError:
        return  # the whole command asks again and says what is wrong
    if isinstance(reply, Failure) and reply.code != "bad_request" and not _is_for_the_next(reply):
        raise failures.raised(reply)


def _is_for_the_next(failure: Failure) -> bool:
    """A daemon that becomes another one does not begin with it: the whole command asks that."""
    return failure.code == "busy" and failure.retry and not failure.retry_after


def _obey(words: list[str]) -> int:
    try:
        status = aixtiv.main(words, prog_name="aixtiv", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as asked:
        return _alone(words, asked.format_message())
    except click.UsageError as error:
        raise _usage(error) from None
    except click.ClickException as error:
        raise failures.AixtivError(_our_voice(error.format_message())) from None
    except OSError as error:
        if not _OF_CLICK & set(words):
            raise
        raise failures.Unwritable(f"the output cannot be written: {error.strerror}") from None
    return status if isinstance(status, int) else 0


def _alone(words: list[str], help_text: str) -> int:
    """A group without a command. `aixtiv` itself shows a person at a terminal more than its help."""
    from aixtiv.commands import first  # noqa: PLC0415  # only here

    if not words and first.at_a_terminal():
        return first.begin(help_text, _obey)
    show.plain(help_text)
    return failures.USAGE


def _usage(error: click.UsageError) -> failures.Usage:
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument) and error.param.name:
        error.param_hint = f"'{error.param.name.upper()}'"  # not click's '[SOURCE]' or '[bash|zsh|fish]'
    sentence = error.format_message()
    if _EXTRA in sentence:
        sentence = "too many arguments"  # not repeated: it may be a secret that belongs at a prompt
    elif isinstance(error, click.NoSuchOption):
        if error.option_name in _OF_COMMANDS and error.ctx and isinstance(error.ctx.command, click.Group):
            hint = f"{error.ctx.command_path} COMMAND {error.option_name}"
            return failures.Usage(f"{error.option_name} stands behind the command", hint=hint)
        sentence = f"no such option {error.option_name}"
        if error.possibilities:
            sentence += f"; did you mean {error.possibilities[0]}?"
    return failures.Usage(_our_voice(sentence))


def _path(words: list[str]) -> str:
    """`aixtiv api-key set`: the command that the words name. click's parser does not know it for every error."""
    command: click.Command | None = aixtiv
    path = "aixtiv"
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
        path += f" {word}" if command and command.name == word else ""  # `mcp` takes an address as one, too
    return path


def _our_voice(sentence: str) -> str:
    sentence = sentence.strip().rstrip(".")
    return sentence[:1].lower() + sentence[1:]
