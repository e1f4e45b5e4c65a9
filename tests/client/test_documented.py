"""docs/commands.md says what programs may rely on; here it is held against the code."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from msgspec import Struct

from aixtiv import failures
from aixtiv.command import run
from aixtiv.commands import COMMANDS, OLD, aixtiv
from aixtiv.commands.claude_code import Written
from aixtiv_protocol import replies

PAGE = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("token", replies.AccessToken),
        ("account", replies.Account),
        ("sign-in", replies.SignInStarted),
        ("change", replies.AccountChanged),
        ("generation", replies.Generation),
        ("farewell", replies.LoggedOut),
        ("verdict", replies.Verified),
        ("status", replies.DaemonStatus),
        ("event", replies.Event),
        ("check", replies.KeyChecked),
        ("program", Written),
        ("ticket", replies.TicketMade),
        ("holding", replies.TicketShown),
        ("record", replies.AuditRecord),
        ("proof", replies.AuditVerdict),
        ("use", replies.UsageRow),
    ],
)
def test_every_field_of_every_object_is_documented_in_its_order(name: str, kind: type[Struct]) -> None:
    row = re.search(rf"^\| \*\*{name}\*\* \| (.*) \|$", PAGE, re.MULTILINE)
    assert row
    outside = re.sub(r"\(.*?\)", "", row[1])
    assert tuple(re.findall(r"`(\w+)`", outside)) == kind.__struct_fields__


def test_every_command_is_documented() -> None:
    names = [name for section in COMMANDS.values() for name in section] + list(OLD)
    assert [name for name in names if f"`aixtiv {name}" not in PAGE and f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("names", [replies.State, replies.Kind, replies.Happening])
def test_every_word_a_program_may_meet_is_documented(names: object) -> None:
    assert [word for word in typing.get_args(names) if f"`{word}`" not in PAGE] == []


def test_every_exit_status_is_documented() -> None:
    kinds = [
        kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, failures.AixtivError)
    ]
    statuses = {kind.exit_status for kind in kinds} | {failures.INTERRUPTED}
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for code in row.split(",")}
    assert statuses <= told


def test_no_first_sentence_is_cut_in_the_list_of_commands() -> None:
    def all_below(group: click.Group) -> Iterator[click.Command]:
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            yield command
            if isinstance(command, click.Group):
                yield from all_below(command)

    assert [found.name for found in all_below(aixtiv) if found.get_short_help_str(60).endswith("...")] == []


def test_what_is_wrong_with_an_argument_names_it_as_the_help_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert [run(["completion", "ksh"]), run(["import", "elsewhere"])] == [64, 64]
    said = capsys.readouterr().err
    assert "invalid value for 'SHELL': " in said
    assert "invalid value for 'SOURCE': " in said
