"""Every hint in the code that is a command of ours can be typed: the command and its options exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.typed import named_wrongly

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "daemon").rglob("*.py"), *(ROOT / "client").rglob("*.py")])


def texts(node: ast.expr) -> Iterator[str]:
    """What an expression may become; what is filled in later stands as a capital word."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "FILLED" for part in parts)
        case ast.IfExp(body=body, orelse=other):
            yield from texts(body)
            yield from texts(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from texts(value)
        case ast.BinOp(left=left, op=ast.Add()):
            yield from texts(left)
        case _:
            pass


def hints(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.keyword(arg="hint" | "command", value=value):
                yield from texts(value)
            case ast.Assign(targets=[ast.Name(id="hint")], value=value):
                yield from texts(value)
            case ast.AnnAssign(target=ast.Name(id="hint"), value=ast.expr() as value):
                yield from texts(value)
            case _:
                pass


def commands(hint: str) -> list[str]:
    """Where the command itself is filled in, only the transcripts can tell whether it exists."""
    parts = re.split(r", or |, and |; | \(|, ", hint)
    return [one for one in parts if one.startswith("aixtiv ") and not one.startswith("aixtiv FILLED")]


FOUND = [
    pytest.param(command, id=f"{path.relative_to(ROOT)}: {command}")
    for path in FILES
    for hint in hints(path)
    for command in commands(hint)
]


def test_hints_are_found() -> None:
    assert len(FOUND) > 30


@pytest.mark.parametrize("command", FOUND)
def test_a_hint_can_be_typed(command: str) -> None:
    assert named_wrongly(command) == ""
