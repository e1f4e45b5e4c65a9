"""What a file should become, and how only our part of it is taken out again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from aixtiv.failures import AixtivError
from aixtiv.setup import jsontext
from aixtiv.show import short

Kind = Literal["json", "toml", "lines", "whole"]
"""json, toml: keys of ours in a file of theirs. lines: a marked block of lines. whole: nobody else's file."""

Keys = tuple[str, ...]

BEGIN: Final = "# >>> aixtiv setup >>>"
END: Final = "# <<< aixtiv setup <<<"


class Goal(Struct, frozen=True):
    path: Path
    kind: Kind
    edit: Callable[[str], str]  # today's text (empty: there is no file) to the one wanted
    own: tuple[Keys, ...] = ()
    mode: int | None = None  # to be set; None: the file's own


class Owned(Struct, frozen=True):
    """One value of ours, and what stood in its place. Ours only as a digest: it may be a ticket."""

    keys: Keys
    digest: str
    had: bool = False
    before: Any = None


class Broken(AixtivError):
    """a file cannot be understood, and so not be changed"""

    code = "broken_file"


def edited(goal: Goal, text: str) -> str:
    """Raises Broken, with file and line."""
    try:
        return goal.edit(text)
    except jsontext.Broken as error:
        raise Broken(f"{short(str(goal.path))}: {error}", hint=f"$EDITOR {goal.path}") from None


def owned(goal: Goal, before: str, after: str) -> tuple[Owned, ...]:
    """What is ours in `after`, and what was there without us."""
    was, now = _tree(goal.kind, before), _tree(goal.kind, after)
    found = ((keys, jsontext.get(was, keys), jsontext.get(now, keys)) for keys in goal.own)
    return tuple(Owned(keys, digest(ours), theirs is not None, theirs) for keys, theirs, ours in found)


def stripped(kind: Kind, text: str, own: tuple[Owned, ...]) -> str:
    """A text that was changed since, without what is still ours in it. Raises jsontext.Broken where it is none."""
    if kind == "lines":
        return without_lines(text)
    for one in own:
        value = jsontext.get(_tree(kind, text), one.keys)
        if value is None or digest(value) != one.digest:
            continue  # theirs by now
        if kind == "json":
            text = jsontext.put(text, one.keys, one.before) if one.had else jsontext.drop(text, one.keys)
        elif kind == "toml":
            text = put_toml(text, one.keys, one.before if one.had else None)
    return text


def _tree(kind: Kind, text: str) -> dict[str, Any]:
    if kind == "json":
        return jsontext.read(text) if text.strip() else {}
    if kind == "toml":
        return _toml(text)
    return {}


def _toml(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  # heavy: only where the config is changed

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise jsontext.Broken(str(error)) from None
    except RecursionError:
        raise jsontext.Broken("it is nested too deeply") from None


def put_toml(text: str, keys: Keys, value: object) -> str:
    """With `value` at table and key, or (None) without: comments and order stay."""
    import tomlkit  # noqa: PLC0415  # heavy: as above
    import tomlkit.exceptions  # noqa: PLC0415  # heavy: as above

    table, key = keys
    try:
        document: Any = tomlkit.parse(text)
    except tomlkit.exceptions.TOMLKitError as error:
        raise jsontext.Broken(str(error)) from None
    if value is not None:
        if table not in document:
            document[table] = tomlkit.table()
        document[table][key] = value
    else:
        document[table].pop(key, None)
        if not document[table]:
            document.pop(table)
    return str(tomlkit.dumps(document))


def with_lines(text: str, lines: str) -> str:
    """With our block at the end, or in the place of the one that is there."""
    block = f"{BEGIN}\n{lines}\n{END}\n"
    before, found, behind = text.partition(f"{BEGIN}\n")
    if found:
        return before + block + behind.partition(f"{END}\n")[2]
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{block}"


def without_lines(text: str) -> str:
    before, found, behind = text.partition(f"{BEGIN}\n")
    _, end, after = behind.partition(f"{END}\n")
    return before + after if found and end else text


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
