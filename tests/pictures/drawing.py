"""A terminal's screen as an SVG: rich draws it, from the bytes that a real command wrote to a real terminal."""

import re
from io import StringIO
from typing import Final
from xml.sax.saxutils import escape

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS: Final = 80

_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (222, 222, 214),
    [
        (24, 26, 31),
        (224, 108, 117),
        (135, 195, 121),
        (222, 180, 95),
        (97, 159, 232),
        (198, 120, 221),
        (86, 182, 194),
        (222, 222, 214),
    ],
)

# As rich's own, without its web font: a document's picture loads nothing from anywhere.
_FORMAT: Final = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px; \
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial, sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>\
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_CHARACTER: Final = 20 * 0.61  # rich's width and height of a cell, in its SVG's units
_LINE: Final = 20 * 1.22
_HALVES: Final = ((0.0, "[█▀]+"), (0.5, "[█▄]+"))  # where in its line it begins, and what is light there


def svg(name: str, title: str, screen: str) -> str:
    """`screen`: what the terminal was sent. Cursor movements are not understood: they would be shown."""
    lines = Text.from_ansi(screen.replace("\r", "").rstrip("\n")).split("\n", allow_blank=True)
    shown = Text("\n").join(part for line in lines for part in _folded(line))
    squares = "".join(_squares(row, line.plain) for row, line in enumerate(shown.split("\n")))
    if squares:
        shown.plain = re.sub("^[ █▀▄]+$", lambda line: " " * len(line[0]), shown.plain, flags=re.MULTILINE)
    console = Console(record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=StringIO())
    console.print(shown, no_wrap=True, overflow="ignore", crop=False)
    drawn = console.export_svg(title=title, theme=_THEME, code_format=_FORMAT, unique_id=escape(name))
    return drawn.replace('<g class="' + name + '-matrix">', f'{squares}<g class="{name}-matrix">')


def _folded(line: Text) -> list[Text]:
    """As a terminal breaks what is longer than it is wide: anywhere."""
    return list(line.divide(range(COLUMNS, len(line), COLUMNS)))


def _squares(row: int, line: str) -> str:
    """A QR code's blocks as rectangles: a font's would leave gaps between the lines, and no camera could read it."""
    if not re.fullmatch("(?: *[█▀▄]){4}[ █▀▄]*", line):
        return ""
    return "".join(
        f'<rect x="{run.start() * _CHARACTER:.2f}" y="{row * _LINE + begins * _LINE + 1.5:.2f}" '
        f'width="{len(run[0]) * _CHARACTER:.2f}" height="{_LINE / 2 + 0.6:.2f}" fill="#dededa"/>'
        for begins, half in _HALVES
        for run in re.finditer(half, line)
    )
