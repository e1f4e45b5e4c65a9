"""The Markdown of docs/, as far as it is written there, into a page."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from manual.roff import Page

_KINDS: Final = {"|": "table", "#": "heading", "-": "list"}


def section(document: str, title: str) -> str:
    """What stands below that heading, up to the next of its level or a higher one."""
    level = len(title) - len(title.lstrip("#"))
    behind = document.split(f"{title}\n", 1)[1]
    return re.split(rf"(?m)^#{{1,{level}}} ", behind, maxsplit=1)[0]


def table(document: str, head: str) -> str:
    """The first table whose head begins so."""
    behind = document[document.index(f"| {head} |") :]
    return behind.partition("\n\n")[0]


def write(page: Page, document: str) -> None:
    for kind, lines in _blocks(document):
        match kind:
            case "code":
                page.literal(lines)
            case "heading":
                title = lines[0].lstrip("# ")
                page.section(title) if lines[0].startswith("## ") else page.below(title)
            case "table":
                for lead, text in rows(lines):
                    page.item(lead, text)
            case "list":
                for line in lines:
                    page.item("\u2022", line.removeprefix("- "))
            case _:
                page.paragraph(" ".join(lines))


def rows(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Of a table: what stands in bold, and the rest as a sentence."""
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    head = cells[0]
    for row in cells[2:]:
        told = dict(zip(head, row, strict=True))
        if {"type", "default", "meaning"} <= told.keys():
            yield row[0], f"{told['meaning']} ({told['type']}; {told['default']})"
        else:
            yield row[0] or "\u2022", "; ".join(_cells(head, row)) or "\u2014"


def _cells(head: list[str], row: list[str]) -> Iterator[str]:
    """All but the first; behind the second, each with what stands above it."""
    for at, (above, cell) in enumerate(zip(head[1:], row[1:], strict=True)):
        if cell:
            yield cell if at == 0 else f"{above}: {cell}"


def _blocks(document: str) -> Iterator[tuple[str, list[str]]]:
    for piece in re.split(r"(?ms)^(```.*?^```)$", document):
        if piece.startswith("```"):
            yield "code", piece.splitlines()[1:-1]
            continue
        for blank, group in groupby(piece.splitlines(), key=lambda line: not line.strip()):
            if not blank:
                lines = list(group)
                yield from _kinds(lines)


def _kinds(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Blocks may follow each other without an empty line: a heading, a paragraph, a table."""
    for kind, group in groupby(lines, key=lambda line: _KINDS.get(line[:1], "prose")):
        yield kind, list(group)
