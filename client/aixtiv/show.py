"""What people and programs see: results on stdout, everything else on stderr in one voice.

The voice is age's: `aixtiv: error: …` and `aixtiv: hint: …`, lower case, no full stop; a hint is a command to type.
"""

import contextlib
import os
import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from aixtiv.failures import AixtivError, Unread, Unwritable
from aixtiv.words import clean
from aixtiv_protocol.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_WORD: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|\S)+""")  # of a shell's line, its quotes and all

_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def refusal(failure: AixtivError) -> None:
    """Of one answer to a question that stays open: no command is to be typed yet."""
    _say("error:", _RED, _fitted(clean(failure.sentence), "aixtiv: error: "))


def error(failure: AixtivError) -> None:
    refusal(failure)
    hint(failure.hint)


def hint(command: str) -> None:
    """Nothing where there is nothing to type."""
    if command:
        _say("hint:", _YELLOW, _continued(clean(command), "aixtiv: hint: "))


def warning(text: str) -> None:
    """What went otherwise than was meant, and went all the same."""
    _say("warning:", _YELLOW, _fitted(clean(text), "aixtiv: warning: "))


def note(text: str) -> None:
    """What the person should know and no program needs."""
    _write(sys.stderr, f"aixtiv: {_fitted(clean(text), 'aixtiv: ')}")


def plain(text: str) -> None:
    """A line on stderr that stands for itself, so that it can be copied: an address, a command."""
    _write(sys.stderr, clean(text))


def picture(drawn: str) -> None:
    """A drawing of our own on stderr: light blocks on dark, whatever the terminal's own colours are."""
    for line in drawn.splitlines():
        _write(sys.stderr, f"\x1b[97;40m{line}{_PLAIN}" if colourful(sys.stderr) else line)


def _say(kind: str, colour: str, text: str) -> None:
    marked = f"{colour}{kind}{_PLAIN}" if colourful(sys.stderr) else kind
    _write(sys.stderr, f"aixtiv: {marked} {text}")


def _fitted(text: str, before: str, stream: TextIO | None = None) -> str:
    """Broken between words where a terminal would break within them; `before` stands on the first line already."""
    if not (stream or sys.stderr).isatty():
        return text
    width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip(" 0123456789.")) or 2)  # an item's number hangs out
        lead = before if not lines else ""
        lines.append(
            textwrap.fill(lead + line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        )
    return "\n".join(lines).removeprefix(before)


def _continued(command: str, before: str) -> str:
    """A command too long for a line: broken between its words, and so that a shell takes it as one all the same."""
    width = shutil.get_terminal_size().columns
    if not sys.stderr.isatty() or "\n" in command or len(before) + len(command) <= width:
        return command
    lines = [before]
    for word in _WORD.findall(command):
        if lines[-1].strip() and len(lines[-1]) + len(word) + len(" \\") > width and lines[-1] != before:
            lines[-1] += "\\"
            lines.append("    ")
        lines[-1] += f"{word} "
    return "\n".join(lines).rstrip().removeprefix(before)


def question(text: str) -> str:
    """As a person is asked for yes or no, broken between words; click writes what to type behind it."""
    choice = " [y/N]: ".replace(" ", "\N{NO-BREAK SPACE}")
    return _fitted(clean(text) + choice, "").removesuffix(choice)


def colourful(stream: TextIO) -> bool:
    """https://no-color.org, and never into a file or a pipe."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def movable(stream: TextIO) -> bool:
    """Whether what was shown there can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def result(text: str) -> None:
    _write(sys.stdout, clean(text))


def told(text: str) -> None:
    """A result in words: one line, and on a terminal no word is broken."""
    _write(sys.stdout, _fitted(clean(text), "", sys.stdout))


def entry(mark: str, lead: str, text: str) -> None:
    """A result behind a mark and a name: on a terminal what does not fit hangs below where it began."""
    text = clean(text)
    if sys.stdout.isatty():
        indent = " " * (len(lead) + 3)
        width = max(shutil.get_terminal_size().columns, len(indent) + 20)
        text = textwrap.fill(
            indent + text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ).lstrip()
    _write(sys.stdout, f"{mark} {lead} {text}")


def as_json(data: object) -> None:
    """One JSON value on one line: the whole of what a program reads."""
    _write(sys.stdout, msgspec.json.encode(data).decode())


def part(text: str) -> None:
    """A part of a result, as it comes: what a terminal shows cannot repaint it, a program gets it as it is."""
    _write(sys.stdout, clean(text) if sys.stdout.isatty() else text, end="")


def raw(data: bytes) -> None:
    """Bytes of a result, untouched."""
    with _said_in_a_sentence():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    with _said_in_a_sentence():
        stream.write(text + end)
        stream.flush()


@contextlib.contextmanager
def _said_in_a_sentence() -> "Iterator[None]":
    try:
        yield
    except BrokenPipeError:
        raise Unread from None
    except OSError as error:  # a full disk under a redirection
        raise Unwritable(f"the output cannot be written: {error.strerror}") from None


def shape(reply: msgspec.Struct) -> dict[str, object]:
    """A reply as `--json` shows it: every field always there, in the order of the protocol's Struct, no secret."""
    return {name: _plain(getattr(reply, name)) for name in reply.__struct_fields__}


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return shape(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, Secret) else value


def draw(drawing: "RenderableType") -> None:
    """On stdout: colours and the width of the terminal, or neither in a pipe."""
    terminal = sys.stdout.isatty()
    drawn = console()
    with drawn.capture() as text:
        drawn.print(drawing)
    for line in text.get().splitlines():
        _write(sys.stdout, line if terminal else line.rstrip())


def console() -> "Console":
    """rich's, on stdout: it shows text as it is, with colours where they are wanted."""
    from rich.console import Console  # noqa: PLC0415  # heavy: only where a person looks at more than a line

    terminal = sys.stdout.isatty()
    return Console(
        highlight=False,
        markup=False,  # what is shown is a provider's in part: "[link=…]" is text
        emoji=False,
        width=None if terminal else 1000,
        force_terminal=terminal,  # whatever FORCE_COLOR says
        color_system="auto" if colourful(sys.stdout) else None,
    )


def hinted(command: str) -> "Text":
    """A hint as it stands within a table."""
    from rich.text import Text  # noqa: PLC0415  # heavy: see draw

    return Text.assemble(("hint:", "yellow"), f" {clean(command)}")


def pairs(rows: "Iterable[tuple[str, str | Text]]") -> None:
    """Names and what they are, one a line; long values wrap under their own column."""
    draw(grid(rows))


def grid(rows: "Iterable[tuple[str, str | Text]]") -> "Table":
    """The same, to be drawn with something else."""
    from rich.table import Table  # noqa: PLC0415  # heavy: see draw
    from rich.text import Text  # noqa: PLC0415  # heavy: see draw

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(clean(value)) if isinstance(value, str) else value)
    return table


def short(path: str) -> str:
    """A path as a person writes it."""
    home = os.path.expanduser("~")  # noqa: PTH111  # text in, text out
    return f"~{path.removeprefix(home)}" if path == home or path.startswith(f"{home}/") else path
