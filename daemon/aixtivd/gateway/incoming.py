"""What a caller's head says, read strictly, and whether it may come in by this door. Pure.

llhttp has taken the bytes apart, and refused what its strict mode does. What it lets through and two servers could
read in two ways, or what no honest caller sends, is refused here.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from msgspec import Struct

from aixtiv_protocol.requests import Headers
from aixtiv_protocol.secret import Secret
from aixtivd.access.tickets import PREFIX
from aixtivd.errors import BadRequest, Denied, TicketNeeded
from aixtivd.relay.call import AGENT

ACCOUNT: Final = "x-aixtiv-account"
LONGEST: Final = 128 * 1024  # bytes of a head: a caller without a ticket can have so many read
LINES: Final = 100  # headers in it
LINE: Final = 8190  # bytes of a target, a header's name, or its value
LONGEST_AGENT: Final = 200  # characters, in each audit record

_CREDENTIALS: Final = frozenset({"authorization", "x-api-key"})
_STAY: Final = _CREDENTIALS | {ACCOUNT}
_SHORT: Final = 40  # bytes of a header's name that is remembered
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})  # not OPTIONS: that is a browser's
_TARGET: Final = re.compile(r'/(?:[!"$-\[\]-~][!"$-\[\]-~]*)?')  # visible ASCII without # and backslash
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")  # a petabyte; llhttp takes more
_BROWSERS: Final = frozenset({"origin", "referer", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"})
"""What browsers add to requests, and nobody else. Not `sec-fetch-mode`: the fetch of Node sends that one alone, and the
official TypeScript SDK with it (seen); a browser that sends it sends `sec-fetch-site`, too."""


class Head(Struct, frozen=True):
    method: str
    target: str  # with its query, as it was written
    headers: Headers
    values: dict[str, list[str]]  # the same, by names in lower case

    def __repr__(self) -> str:
        return f"Head({self.method}, {len(self.headers)} headers)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("method", self.method), ("headers", len(self.headers))]

    def all(self, name: str) -> list[str]:
        """The values of that header. `name`: in lower case."""
        return self.values.get(name, [])

    def one(self, name: str) -> str:
        """Empty where there is none. Raises BadRequest where there are several."""
        found = self.values.get(name)
        if not found:
            return ""
        if len(found) > 1:
            raise BadRequest(f"there are {len(found)} headers {name}")
        return found[0]

    @property
    def length(self) -> int | None:
        """Bytes of the body; None: it comes in chunks."""
        return None if "transfer-encoding" in self.values else int(self.one("content-length") or 0)

    def forwarded(self) -> Headers:
        """What the relay is told: all but the caller's credentials, which may be tickets, and words meant for us."""
        if _STAY.isdisjoint(self.values):
            return self.headers
        return tuple((name, value) for name, value in self.headers if name.lower() not in _STAY)


def read_head(method: str, target: str, version: str, raw: Sequence[tuple[bytes, bytes]]) -> Head:
    """Raises BadRequest for a head that is not HTTP/1.1, or not plain."""
    if version != "1.1":
        raise BadRequest("only HTTP/1.1 is spoken here")
    if len(raw) > LINES or len(target) > LINE or sum(map(len, chain.from_iterable(raw))) > LONGEST:
        raise BadRequest(f"a head has up to {LINES} headers and {LONGEST // 1024} KiB here")
    if method not in _METHODS:
        raise BadRequest(f"only {', '.join(sorted(_METHODS))} are taken here")
    if not _TARGET.fullmatch(target) or target.startswith("//"):
        raise BadRequest("the request's target has to be a path of visible ASCII characters without #")
    head = _head(method, target, raw)
    if not head.one("host"):
        raise BadRequest("there is no Host header")
    if "upgrade" in head.values:
        raise BadRequest("nothing is upgraded here")
    if head.one("expect").lower() not in {"", "100-continue"}:
        raise BadRequest("only 100-continue can be expected here")
    _check_framing(head)
    return head


def _head(method: str, target: str, raw: Sequence[tuple[bytes, bytes]]) -> Head:
    headers: list[tuple[str, str]] = []
    values: dict[str, list[str]] = {}
    for raw_name, raw_value in raw:
        name, low = _known_name(raw_name) if len(raw_name) <= _SHORT else _name(raw_name)
        value = _value(name, raw_value)
        headers.append((name, value))
        values.setdefault(low, []).append(value)
    return Head(method, target, tuple(headers), values)


def _name(raw: bytes) -> tuple[str, str]:
    """As it is, and in lower case."""
    if len(raw) > LINE or not _NAME.fullmatch(raw):
        raise BadRequest("a header's name is too long, or has characters that no name can have")
    name = raw.decode()
    return name, name.lower()


_known_name = lru_cache(maxsize=256)(_name)
"""Remembered: callers send the same few. Not a long one, which may be a secret in the wrong place."""


def _value(name: str, raw: bytes) -> str:
    raw = raw.strip(b" \t")  # llhttp leaves what stands behind it (RFC 9110 §5.5)
    if len(raw) > LINE or not _VALUE.fullmatch(raw):
        raise BadRequest(f"the header {name[:60]} is too long, or has characters that no header can have")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the header {name[:60]} is not UTF-8") from None


def _check_framing(head: Head) -> None:
    coding, length = head.one("transfer-encoding"), head.one("content-length")
    coded, sized = "transfer-encoding" in head.values, "content-length" in head.values
    if coded and (coding.lower() != "chunked" or sized):
        raise BadRequest("the body's length is ambiguous: one Content-Length, or Transfer-Encoding: chunked, is taken")
    if sized and not _LENGTH.fullmatch(length):
        raise BadRequest("the Content-Length is no plain number")


def check_not_a_browser(head: Head, port: int) -> None:
    """`port`: of the door on loopback; 0: the Unix socket, which no browser can reach by itself. Raises Denied.

    As if a browser were the enemy, because it is (D13): a page can send requests here, and a name of its own can be
    made to resolve to 127.0.0.1.
    """
    if port and head.one("host").lower() not in {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}:
        raise Denied("this port is not reached by that name")
    if not _BROWSERS.isdisjoint(head.values):
        told = next((name for name in head.values if (name in _BROWSERS if port else name == "origin")), "")
        if told:
            raise Denied(f"a request with {told} comes from a browser, and none is served here")


def shown(head: Head) -> str:
    """The credential that a caller shows, as a Bearer, as an API key, or as both; empty: none. Raises TicketNeeded."""
    bearer, key = head.one("authorization"), head.one("x-api-key")
    scheme, _, token = bearer.partition(" ")
    found = {key.strip(), token.strip() if scheme.lower() == "bearer" else ""} - {""}
    if len(found) > 1:
        raise TicketNeeded("Authorization and x-api-key show two different credentials")
    return found.pop() if found else ""


def ticket(head: Head, *, needed: bool) -> Secret | None:
    """None: none is shown, and none is needed; another credential then means nothing. Raises TicketNeeded."""
    if not needed and not any(PREFIX in value for name in _CREDENTIALS for value in head.all(name)):
        return None
    credential = shown(head)
    if credential.startswith(PREFIX):
        return Secret(credential)
    raise TicketNeeded("what is shown here is no ticket of aixtiv's" if credential else "")


def agent(head: Head) -> str:
    """What the caller calls itself, for the audit."""
    name = head.one(AGENT)
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_AGENT]
