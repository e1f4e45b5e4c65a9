"""The examples of docs/access.md, as somebody would copy them."""

import re
from pathlib import Path

import pytest

from aixtivd.access.caller import Caller
from aixtivd.access.rules import RIGHTS, Rules
from aixtivd.config import load

TEXT = (Path(__file__).parents[3] / "docs/access.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def rules(folder: Path, example: int) -> Rules:
    path = folder / "config.toml"
    path.write_text(EXAMPLES[example])
    return Rules(load(path))


@pytest.mark.parametrize("unit", ["", "session-3.scope", "app-gnome-code-17.scope", "user@1000.service"])
def test_nobody_is_shut_out_by_the_first_example_but_the_program_it_is_about(folder: Path, unit: str) -> None:
    those = rules(folder, 0)
    assert those.verdict(Caller(uid=1, pid=1, unit=unit), "").rights == RIGHTS
    backup = Caller(uid=1, pid=1, unit="backup.service")
    assert [those.verdict(backup, name).rights for name in ("github", "work", "")] == [("relay",), (), ()]


@pytest.mark.parametrize("unit", ["session-3.scope", "vte-spawn-4f3c.scope"])
def test_the_second_one_keeps_shells_in_and_the_rest_low(folder: Path, unit: str) -> None:
    those = rules(folder, 1)
    assert those.verdict(Caller(uid=1, pid=1, unit=unit), "").rights == RIGHTS
    assert those.verdict(Caller(uid=1, pid=1, unit="tool.service"), "").rights == ("list", "relay")
