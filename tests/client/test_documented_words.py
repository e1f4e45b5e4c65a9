"""What README and docs/ tell people to type is understood, and every command stands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from aixtiv.commands import aixtiv
from manual import commands

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DESCRIBED: Final = [one for _, found in commands.sections() for one in found]

_FENCE: Final = re.compile(r"(?ms)^```\w*\n(.*?)^```$")
_ENDS: Final = re.compile(r"[|;&#)<>\n]|\\\n")  # of a command in a shell's line


def typed(text: str) -> Iterator[str]:
    """Each `aixtiv …` of a document: in code within a sentence, and in blocks, where it may stand within `$(…)`."""
    blocks = _FENCE.findall(text)
    inline = re.findall(r"`([^`\n]+)`", _FENCE.sub("", text).replace("\\|", " "))
    for code in [*inline, *(block.replace("\\\n", " ") for block in blocks)]:
        for found in re.finditer(r"(?m)(?:^(?:\$ )?|(?<=[|;(] )|(?<=[(]))aixtiv (?=[a-z-])([^\n]*)", code):
            yield _ENDS.split(found[1])[0].strip().rstrip('"')


def walked(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = aixtiv
    context = click.Context(aixtiv, info_name="aixtiv")
    while words and isinstance(command, click.Group):
        below = command.get_command(context, words[0])
        if below is None:
            break
        command, words = below, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    return command, words


def wrong(line: str) -> str:
    """What in that line the command does not know; empty: nothing."""
    try:
        words = shlex.split(line)
    except ValueError:  # half a quotation, where a sentence goes on
        words = line.split()
    command, rest = walked(words)
    if command is aixtiv and rest and not rest[0].startswith("-"):
        return f"no command {rest[0]}"
    if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z-]+", rest[0]) and not rest[0].startswith("-"):
        return f"no command {rest[0]} below {command.name}"
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    known |= {"--version"} if command is aixtiv else set()
    options = rest[: rest.index("--")] if "--" in rest else rest
    return next(
        (f"no option {word}" for word in options if re.match(r"-[-a-z]", word) and _name(word) not in known), ""
    )


def _name(word: str) -> str:
    return word.strip("[]…").partition("=")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_what_people_are_told_to_type_is_understood(document: Path) -> None:
    lines = list(typed(document.read_text(encoding="utf-8")))
    assert [f"{line}: {why}" for line in lines if (why := wrong(line))] == []


def test_the_documents_are_really_read() -> None:
    lines = [line for document in DOCUMENTS for line in typed(document.read_text(encoding="utf-8"))]
    assert len(lines) > 300
    assert "login github --client-id ID --client-secret" in lines


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("token github --min-ttl 60", ""),
        ("exec --ttl 1h -- python -c x", ""),
        ("ticket new --lasting", ""),
        ("auth:verify", ""),
        ("tokens", "no command tokens"),
        ("ticket make", "no command make below ticket"),
        ("token --ttl 60", "no option --ttl"),
        ("whoami -x", "no option -x"),
    ],
)
def test_what_is_wrong_would_be_found(line: str, why: str) -> None:
    assert wrong(line) == why


def test_every_command_stands_in_the_readme() -> None:
    """In its table; of a group the group, or what is below it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {one.path.split()[1] for one in DESCRIBED}
    assert [name for name in sorted(names) if f"`aixtiv {name}" not in readme] == []


def test_every_command_and_what_is_below_it_stands_in_the_page_of_the_commands() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    below = [one.path for one in DESCRIBED if not one.usage.startswith("COMMAND") and "COMMAND [ARGS]" not in one.usage]
    assert [path for path in below if not told(path, page)] == []


def told(path: str, page: str) -> bool:
    """`aixtiv key rotate`, or `key rotate` beside its like, or one of `aixtiv service install|uninstall`."""
    _, *words = path.split()
    either = rf"`aixtiv {' '.join(words[:-1])} [a-z\\|]*\b{words[-1]}\b" if len(words) > 1 else "(?!)"
    return f"`{path}" in page or f"`{' '.join(words)}" in page or re.search(either, page) is not None
