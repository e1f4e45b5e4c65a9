"""Changing one value in the text of a JSON object, and not a byte of the rest: order, indent and numbers stay."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from aixtiv.filed import is_deep

_MARK: Final = "\ufeff"  # of byte order, which some editors put first; it stays
_BLANK: Final = re.compile(rf"{_MARK}?[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


class Broken(ValueError):
    """Not a JSON object; says where."""


class _Member(Struct, frozen=True):
    key: str
    begins: int  # of the key's opening quote
    value: int  # of the value's first character
    ends: int  # behind its last


class _Object(Struct, frozen=True):
    begins: int  # of the opening brace
    members: tuple[_Member, ...]
    ends: int  # of the closing brace

    def member(self, key: str) -> _Member | None:
        return next((member for member in self.members if member.key == key), None)


def read(text: str) -> dict[str, Any]:
    """The object. Raises Broken with the line, also for a key that comes twice: one of the two would be lost."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) < len(found):
            raise Broken("a key comes twice in one object")
        return dict(found)

    try:
        tree = json.loads(text.removeprefix(_MARK), object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise Broken(f"line {error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise Broken("it is nested too deeply") from None
    except Broken:
        raise
    except ValueError:
        raise Broken("a number is longer than one can be") from None
    if is_deep(tree):
        raise Broken("it is nested too deeply")
    if not isinstance(tree, dict):
        raise Broken("it is not an object")
    return tree


def get(tree: dict[str, Any], keys: Sequence[str]) -> Any:
    """The value below those keys; None where there is none."""
    found: Any = tree
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def put(text: str, keys: Sequence[str], value: object) -> str:
    """The text with `value` at those keys; objects on the way are made. Raises Broken."""
    read(text)
    at, level = _object(text, _skip(text, 0)), 0
    while level < len(keys) - 1 and (member := at.member(keys[level])):
        if text[member.value] != "{":
            raise Broken(f"{keys[level]} is not an object")
        at, level = _object(text, member.value), level + 1
    left = keys[level:]
    for key in reversed(left[1:]):
        value = {key: value}
    if member := at.member(left[0]):
        return text[: member.value] + _dumped(text, value, level + 1) + text[member.ends :]
    return _inserted(text, at, left[0], value, level + 1)


def drop(text: str, keys: Sequence[str]) -> str:
    """The text without the value at those keys, nor the objects that are empty without it. As it was if none is."""
    read(text)
    at = _object(text, _skip(text, 0))
    way = [at]
    for key in keys[:-1]:
        member = at.member(key)
        if member is None or text[member.value] != "{":
            return text
        at = _object(text, member.value)
        way.append(at)
    if at.member(keys[-1]) is None:
        return text
    level = len(keys) - 1
    while level and len(way[level].members) == 1:  # it would be left empty
        level -= 1
    return _removed(text, way[level], keys[level])


def _removed(text: str, at: _Object, key: str) -> str:
    number = next(number for number, member in enumerate(at.members) if member.key == key)
    member = at.members[number]
    if len(at.members) == 1:
        return text[: at.begins + 1] + text[at.ends :]
    if number == 0:
        return text[: member.begins] + text[at.members[1].begins :]
    return text[: at.members[number - 1].ends] + text[member.ends :]


def _inserted(text: str, at: _Object, key: str, value: object, level: int) -> str:
    entry = f"{json.dumps(key, ensure_ascii=False)}: {_dumped(text, value, level)}"
    if at.members:
        last = at.members[-1]
        blank = text[at.begins + 1 : at.members[0].begins]  # as the first stands, so do the others
        between = blank if "\n" in blank else " "
        return f"{text[: last.ends]},{between}{entry}{text[last.ends :]}"
    unit, newline = indent(text), _newline(text)
    return f"{text[: at.begins + 1]}{newline}{unit * level}{entry}{newline}{unit * (level - 1)}{text[at.ends :]}"


def _dumped(text: str, value: object, level: int) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent(text)).replace(
        "\n", f"{_newline(text)}{indent(text) * level}"
    )


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def indent(text: str) -> str:
    """What its first member is indented by; two blanks where it does not say."""
    found = re.match(r"\ufeff?\s*\{[ \t]*\r?\n([ \t]+)\"", text)
    return found[1] if found else "  "


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _object(text: str, at: int) -> _Object:
    """Of text that is known to be JSON, the object whose brace stands at `at`."""
    begins, members = at, []
    at = _skip(text, at + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _skip(text, at + 1)
        key, ends = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, ends) + 1)
        _, behind = _DECODER.raw_decode(text, value)
        members.append(_Member(key, at, value, behind))
        at = _skip(text, behind)
    return _Object(begins, tuple(members), at)
