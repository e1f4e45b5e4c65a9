"""An address as a QR code for a terminal: half blocks, two modules in a character, so that it stays square."""

import os
import shutil
import sys
from typing import Final, TextIO

_QUIET: Final = 2  # light modules around it: four by the standard, two are enough for phones on a dark terminal
_HALVES: Final = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}  # light is drawn


def drawn(text: str, stream: TextIO | None = None, *, beside: int = 0) -> str:
    """Lines to write as they are; empty where it cannot be shown whole, or not at all.

    `beside`: lines that have to be on the screen with it.
    """
    stream = stream or sys.stderr
    if not stream.isatty() or os.environ.get("TERM") == "dumb" or not _writes_blocks(stream):
        return ""
    lines = half_blocks(text)
    size = shutil.get_terminal_size()
    if len(lines) + beside > size.lines or len(lines[0]) > size.columns:
        return ""
    return "\n".join(lines)


def half_blocks(text: str) -> list[str]:
    """Light modules are the blocks, so that the colours of a dark terminal are the code's own; phones read both."""
    import segno  # noqa: PLC0415  # heavy: only where a code is shown

    matrix = segno.make(text, micro=False, error="l").matrix_iter(border=_QUIET)
    rows = [[bool(module) for module in row] for row in matrix]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_HALVES[upper, lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]


def _writes_blocks(stream: TextIO) -> bool:
    try:
        "█▀▄".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
