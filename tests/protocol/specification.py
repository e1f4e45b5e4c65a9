"""protocol/README.md as data: its sections, tables and fenced examples."""

import re
from pathlib import Path
from typing import Final, NamedTuple

TEXT: Final = (Path(__file__).parents[2] / "protocol" / "README.md").read_text(encoding="utf-8")


class Example(NamedTuple):
    line: str  # as in line mode, without the newline
    frame: bytes


def section(heading: str) -> str:
    """What stands below a heading, down to the next one of its level or above. The heading with its `#`s."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = TEXT.partition(f"\n{heading}\n")
    assert found, f"no section {heading}"
    return re.split(rf"\n#{{1,{level}}} ", rest, maxsplit=1)[0]


def headings(level: int, inside: str) -> list[str]:
    """Names in back quotes of the headings of that level."""
    return re.findall(rf"^{'#' * level} `(.+)`$", section(inside), re.MULTILINE)


def fenced(kind: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)


def examples(kind: str, text: str = TEXT) -> list[Example]:
    found = []
    for block in fenced(kind, text):
        line, _, hexadecimal = block.partition("\n")
        found.append(Example(line, bytes.fromhex(hexadecimal)))
    return found


def rows(text: str, first_column: str) -> list[list[str]]:
    """The cells, without back quotes, of the first table whose first column has that title; empty if there is none."""
    found = re.search(rf"^\| {re.escape(first_column)} \|.*\n\|[ -|]+\n((?:\|.*\n?)*)", text, re.MULTILINE)
    if not found:
        return []
    lines = found[1].strip().splitlines()
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
