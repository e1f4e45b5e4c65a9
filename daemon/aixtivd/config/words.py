"""msgspec's sentences about a config file, as a person who writes TOML reads them."""

import difflib
import re
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

import msgspec
from msgspec import Struct

from aixtivd.config.tables import AccountConfig, ApiConfig, Config, McpConfig, ProviderConfig

_NAMED: Final = (("provider", ProviderConfig), ("api", ApiConfig), ("account", AccountConfig), ("mcp", McpConfig))
_TYPES: Final = re.compile(r"`([\w |]+)`")
_IN_TOML: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "bool | null": "true or false",
    "object | null": "a table",
}


def in_words(sentence: str, tables: dict[str, Any]) -> str:
    """msgspec's sentence with the key in front, as TOML writes it: `network.proxy: expected str, got int`.

    Never the value: it may be a secret in the wrong place.
    """
    what, _, path = sentence.partition(" - at `$")
    path = path.rstrip("`").lstrip(".").replace("[...]", "[]")  # "[]": of a dict, some value
    if rule := re.match(r"rule\[(\d+)\]\.?", path):  # counted from 1, as everywhere else
        return f"rule {int(rule[1]) + 1}: {_in_key_words(what, path[rule.end() :], path)}"
    where = path
    for table, kind in _NAMED:
        if path.startswith(f"{table}[]"):
            where = path.replace("[]", f".{_wrong(tables[table], kind)}", 1).replace("[]", "")
    return _in_key_words(what, where, path)


def _in_key_words(what: str, where: str, path: str) -> str:
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        key = f"{where}.{unknown[1]}" if where else unknown[1]
        return f"unknown key {key}{_meant(unknown[1], path)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{where}: it has no {missing[1]}"
    if what.startswith("Invalid enum value"):
        return f"{where}: expected one of {_choices(path)}"
    return (
        f"{where or 'the file'}: {_TYPES.sub(lambda kind: _IN_TOML.get(kind[1], kind[1]), what[:1].lower() + what[1:])}"
    )


def in_one_line(sentence: str) -> str:
    """What stands in quotes can hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in sentence)


def _meant(key: str, path: str) -> str:
    """The key of that table that is nearest, where one is near."""
    near = difflib.get_close_matches(key, [field.encode_name for field in msgspec.structs.fields(_kind(path))], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _wrong(tables: dict[str, Any], kind: type[Struct]) -> str:
    """The first `[provider.NAME]` that is none: msgspec's path leaves a dict's keys out."""
    for name, table in tables.items():
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError:
            return str(name)
    return "NAME"


def _choices(path: str) -> str:
    """The values that a key can have, quoted as TOML does."""
    return ", ".join(f'"{value}"' for value in get_args(_kind(path)))


def _kind(path: str) -> Any:
    """What stands there, as a type."""
    kind: Any = Config
    for part in path.split(".") if path else ():
        name, inside, _ = part.partition("[")
        kind = get_type_hints(kind)[name.replace("-", "_")]
        if inside:  # of a list, or of a dict
            kind = next(arg for arg in reversed(get_args(kind)) if arg is not ...)
        if isinstance(kind, UnionType):  # with None: what need not be there
            kind = next(arg for arg in get_args(kind) if arg is not type(None))
    return kind
