"""The JSON object in a provider's answer, read so tolerantly that no pair is dropped for a blot beside it."""

import json
import re
from contextlib import suppress
from functools import cache
from typing import Any, Final

import msgspec

_AROUND: Final = {mark: re.compile(rf"\s*{re.escape(mark)}\s*") for mark in "{:,"}
_LONGEST_NUMBER: Final = 30  # digits; Python refuses to read an integer of more than 4300, and nothing needs one


def as_object(body: bytes, *, alone: bool = True) -> dict[str, object] | None:
    """None for what is none. `alone=False`: something may follow it.

    A byte order mark, bytes that are no UTF-8, halves of surrogate pairs (a text cut in the middle of an emoji), NaN
    and numbers beyond all bounds spoil only the very value they stand in. No text in it holds a lone surrogate.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _read_tolerantly(body, alone=alone)
    return document if isinstance(document, dict) else None


def beginning(body: bytes) -> dict[str, object]:
    """The members that came whole of an object whose end did not, or behind which too much came.

    A text is whole with its closing quote; of a number, only what follows tells.
    """
    text = body.decode("utf-8-sig", errors="replace").strip()
    members: dict[str, object] = {}
    with suppress(ValueError, RecursionError):
        at = _past(text, 0, "{")
        while True:
            name, at = _decoder().raw_decode(text, at)
            value, at = _decoder().raw_decode(text, _past(text, at, ":"))
            if isinstance(name, str) and (isinstance(value, str) or text[at:].strip()):
                members[_mended(name)] = _mended(value)
            at = _past(text, at, ",")
    return members


def _past(text: str, at: int, mark: str) -> int:
    """Where the next value begins, behind blanks, `mark`, and blanks. Raises ValueError where it is not there."""
    found = _AROUND[mark].match(text, at)
    if found is None:
        raise ValueError(mark)
    return found.end()


def _read_tolerantly(body: bytes, *, alone: bool) -> object:
    text = body.decode("utf-8-sig", errors="replace").strip()
    try:
        document, end = _decoder().raw_decode(text)
        return None if alone and end < len(text) else _mended(document)
    except (ValueError, RecursionError):
        return None


def _mended(value: Any) -> Any:
    """Halves of surrogate pairs become U+FFFD."""
    match value:
        case str():
            return value.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")
        case list():
            return [_mended(each) for each in value]
        case dict():
            return {_mended(name): _mended(each) for name, each in value.items()}
        case _:
            return value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


@cache
def _decoder() -> "json.JSONDecoder":
    """Not strict: a raw line break may stand in a text."""
    return json.JSONDecoder(parse_int=_whole, strict=False)
