"""Which addresses of a name count: `localhost` is this machine, whatever a network's DNS says of it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from aixtivd.oauth.web import is_loopback

Found = TypeVar("Found")


def only_here(host: str, found: Iterable[Found], address: Callable[[Found], str]) -> list[Found]:
    """Plain http goes to `localhost` (`check_url`), and a hosts file need not have the name (RFC 6761 §6.3).

    `address`: of one that was found. Raises OSError where none is left.
    """
    if host.lower().rstrip(".") != "localhost":
        return list(found)
    if here := [one for one in found if is_loopback(address(one))]:
        return here
    raise OSError("localhost is somewhere else")
