"""The commands as click knows them: the same text as `--help`."""

import inspect
from collections.abc import Iterator
from typing import Final

import click
from msgspec import Struct

from aixtiv.commands import COMMANDS, aixtiv

COMMON: Final = ("--json", "--no-start", "-h, --help")


class Described(Struct, frozen=True):
    """One command, or a group that can be called as it is."""

    path: str  # `aixtiv ticket new`
    usage: str  # what may stand behind it
    help: str
    options: tuple[tuple[str, str], ...]


def sections() -> Iterator[tuple[str, list[Described]]]:
    root = _root()
    for title, section in COMMANDS.items():
        found = []
        for name in section:
            command = aixtiv.get_command(root, name)
            assert command, name
            found += list(_described(command, root, name))
        yield title, found


def whole() -> Described:
    """`aixtiv` itself."""
    return _one(aixtiv, _root())


def _root() -> click.Context:
    return click.Context(aixtiv, info_name="aixtiv", **aixtiv.context_settings)


def _described(command: click.Command, parent: click.Context, name: str) -> Iterator[Described]:
    context = click.Context(command, info_name=name, parent=parent)
    yield _one(command, context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found, below
            yield from _described(found, context, below)


def _one(command: click.Command, context: click.Context) -> Described:
    found = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    records = [param.get_help_record(context) for param in found]
    return Described(
        path=context.command_path,
        usage=" ".join(command.collect_usage_pieces(context)),
        help=inspect.cleandoc(command.help or "").partition("\f")[0],
        options=tuple((names, " ".join(text.split())) for names, text in (record for record in records if record)),
    )


def paragraphs(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Of click's help: whether it is to be left as it is, and its lines."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines[:1] == ["\b"]:
            yield True, lines[1:]
        elif lines:
            yield False, lines
