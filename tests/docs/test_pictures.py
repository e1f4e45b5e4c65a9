"""The pictures of the documents: they are there, they show nothing of this machine, and `make pictures` makes them."""

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from docs.pages import KEY, ROOT, Opposite
from pictures.__main__ import PLACE, made
from pictures.drawing import svg
from pictures.scenes import PAGES, TERMINALS

DOCUMENTS: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
DRAWN: Final = sorted(PLACE.glob("*.svg"))


def words(drawing: str) -> str:
    """What a person reads in it."""
    rows = ("".join(text.itertext()) for text in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text"))
    return " ".join(" ".join(rows).split())


def test_every_picture_is_made_by_the_command_and_shown_somewhere() -> None:
    shown = {
        (document.parent / path).resolve()
        for document in DOCUMENTS
        for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", document.read_text(encoding="utf-8"))
    }
    there = {path.resolve() for path in PLACE.iterdir()}
    assert shown == there
    assert {path.stem for path in there} == {*TERMINALS, *PAGES}


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_a_picture_loads_nothing_and_tells_nothing_of_the_machine_it_was_made_on(path: Path) -> None:
    drawing = path.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import|<image|<script|xlink:href=\"http", drawing)
    assert not re.search(r"/tmp/|127\.0\.0\.1:\d|" + re.escape(str(ROOT)), words(drawing))
    assert KEY not in drawing


def test_what_is_drawn_is_what_the_terminal_was_sent() -> None:
    drawn = svg("x", "title", "\x1b[1m$ aixtiv\x1b[0m\r\n\x1b[31merror:\x1b[0m no\r\n" + "long " * 20)
    assert "$ aixtiv" in words(drawn)
    assert "error: no" in words(drawn)
    assert "#e06c75" in drawn  # red
    assert words(drawn).count("long") == 20  # also what a terminal breaks


def test_a_qr_code_is_drawn_as_rectangles_that_touch() -> None:
    drawn = svg("x", "title", "██▀▀▄▄██\n████████")
    assert drawn.count('fill="#dededa"') == 6  # of the first line two above and two below, of the second one each
    assert "█" not in drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TERMINALS, *PAGES])
def test_a_picture_can_be_made(servers: Opposite, folder: Path, name: str) -> None:
    path = made(name, servers, folder)
    if path.suffix == ".svg":
        assert words(path.read_text(encoding="utf-8")).count("$ aixtiv") > 0
