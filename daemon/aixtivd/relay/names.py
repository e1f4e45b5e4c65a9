"""What the names of a head say, whoever's it is. Pure.

Callers and APIs repeat theirs with every call, so what was read of a list of names is remembered: of names only, never
of what stands beside them, of short lists only, and of few.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct

_MOST: Final = 4096  # characters of a list of names that is remembered
_ODD: Final = re.compile(r"[^0-9a-z]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")

Read = TypeVar("Read")


class Names(Struct, frozen=True):
    """Of the headers of one head, in their order."""

    folded: tuple[str, ...]
    places: dict[str, tuple[int, ...]]  # where each stands, by its writing in lower case
    sound: bool  # each is what a name may be


def remembered(read: Callable[[tuple[str, ...]], Read]) -> Callable[[tuple[str, ...]], Read]:
    again = lru_cache(maxsize=256)(read)

    def either(names: tuple[str, ...]) -> Read:
        return (again if len("".join(names)) <= _MOST else read)(names)

    return either


@remembered
def _read(names: tuple[str, ...]) -> Names:
    places: dict[str, tuple[int, ...]] = {}
    for at, name in enumerate(names):
        low = name.lower()
        places[low] = (*places.get(low, ()), at)
    sound = all(names) and all(map(_TOKEN.fullmatch, names))
    return Names(tuple(map(folded, names)), places, sound)


def names_of(headers: Iterable[tuple[str, str]]) -> Names:
    return _read(tuple([name for name, _ in headers]))


def folded(name: str) -> str:
    """As servers see it that hand headers on as variables (CGI, WSGI, PHP): there `X_Api.Key` is `x-api-key`, too."""
    return _ODD.sub("-", name.lower())


def listed(values: Iterable[str]) -> frozenset[str]:
    """Names that Connection headers list (RFC 9110 §7.6.1)."""
    return frozenset(folded(part.strip()) for value in values for part in value.split(","))
