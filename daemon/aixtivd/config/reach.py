"""Which URLs an entry of an account's `hosts` is about, read so that nothing can be read in two ways. Pure."""

import re
from typing import Final

from msgspec import Struct

_HOST: Final = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
_ENTRY: Final = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?P<path>(?:/[^/\s]+)*)/?", re.ASCII)
_URL: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[^?#\s]*)?(?:\?[^#\s]*)?", re.ASCII
)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+", re.ASCII)
_HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_USUAL: Final = {"https": 443, "http": 80}


class Reach(Struct, frozen=True):
    """One entry. `port` 0: the scheme's own."""

    host: str
    port: int = 0
    path: tuple[str, ...] = ()  # segments


class Target(Struct, frozen=True):
    """Where a tool goes."""

    scheme: str
    host: str
    port: int
    path: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As a person writes it."""
        place = self.host if self.port == _USUAL[self.scheme] else f"{self.host}:{self.port}"
        return "/".join((place, *self.path))


def reach(entry: str) -> Reach | None:
    """None: it is no `HOST[:PORT][/PATH]`."""
    host, slash, path = entry.partition("/")
    found = _ENTRY.fullmatch(f"{host.lower()}{slash}{path}")
    if found is None:
        return None
    port, segments = int(found["port"] or 0), _segments(found["path"])
    return None if segments is None or port > 65_535 or found["port"] == "0" else Reach(found["host"], port, segments)


def target(url: str) -> Target | None:
    """None: it is no https address, nor an http one of this machine, or could be read in two ways."""
    scheme, separator, rest = url.partition("://")
    cut = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
    found = _URL.fullmatch(f"{scheme.lower()}{separator}{rest[:cut].lower()}{rest[cut:]}")
    if found is None or (found["scheme"] == "http" and found["host"] not in _HERE):
        return None
    port = int(found["port"]) if found["port"] else _USUAL[found["scheme"]]
    segments = _segments((found["path"] or "").rstrip("/"))
    return (
        None if segments is None or not 0 < port <= 65_535 else Target(found["scheme"], found["host"], port, segments)
    )


def names(entry: Reach, where: Target) -> bool:
    """On a segment's border: `/acme` is not about `/acme-evil`."""
    same = entry.host == where.host and (entry.port or _USUAL[where.scheme]) == where.port
    return same and where.path[: len(entry.path)] == entry.path


def _segments(path: str) -> tuple[str, ...] | None:
    """None where a server may read another path than we do: `..`, `..;` (a parameter of a segment, RFC 3986 §3.3), an
    empty segment, `%2e`, a backslash.
    """
    segments = tuple(path.split("/")[1:])
    plain = all(
        _SEGMENT.fullmatch(segment) and segment.partition(";")[0] not in {"", ".", ".."} for segment in segments
    )
    return segments if plain else None
