"""Where a call goes: which paths of an API are relayed, and to which origin. Pure.

A path is checked in every way in which some server might read it, and sent on as the caller wrote it.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from aixtiv_protocol.replies import Kind
from aixtivd.accounts.origin import origin_of
from aixtivd.errors import BadRequest, Denied
from aixtivd.relay.api import Api

LONGEST: Final = 8000
"""Characters of a path with its query at most: what common servers take of a request line (RFC 9110 §4.1)."""

_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~:@-]*(?<!\.))+/?")
"""Read by everybody in the same way: no encoding, no empty segment, none with a dot at an end."""

_CUT: Final = re.compile(r"[;?#]")
"""Where some servers end a segment, also where it was percent-encoded."""

_VISIBLE: Final = re.compile(r"/[!-~]*")
_ESCAPES: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_SHORT: Final = 256  # characters of a path that is remembered
_DEEPEST: Final = 3  # times a path may be percent-encoded: who encodes more often hides something


def check_path(api: Api, path: str) -> None:
    """`path`: with its query. Raises BadRequest for what is none, Denied for one that is not relayed."""
    (_checked_again if len(path) <= _SHORT else _checked)(api, path)


def _checked(api: Api, path: str) -> None:
    for reading in readings(path):
        folder = reading.rstrip("/") + "/"
        if not folder.startswith(api.paths):
            raise Denied(f"only paths below {' and '.join(api.paths)} are relayed to {api.name}")
        ascii_only = folder.encode("ascii", "ignore").decode()  # without what some leave out: variation selectors …
        if _below(folder, api.refused) or _below(ascii_only, api.refused):
            raise Denied(f"paths below {' and '.join(api.refused)} are not relayed to {api.name}")


_checked_again = lru_cache(maxsize=256)(_checked)
"""Callers repeat theirs. What is refused is not remembered."""


def _below(folder: str, prefixes: tuple[str, ...]) -> bool:
    return folder.casefold().startswith(tuple(prefix.casefold() for prefix in prefixes))


def readings(path: str) -> tuple[str, ...]:
    """The path without its query, in every way in which some server might read it. Raises BadRequest."""
    if len(path) > LONGEST:
        raise BadRequest(f"the path is longer than {LONGEST} characters")
    if not _VISIBLE.fullmatch(path) or "#" in path:
        raise BadRequest("the path has to begin with / and consist of visible ASCII characters without #")
    written = path.partition("?")[0]
    return (written,) if _PLAIN.fullmatch(written) else tuple(_readings(written))


def _readings(written: str) -> Iterator[str]:
    """As it is, and decoded once, twice …; each with and without what some servers cut off or fold together."""
    for _ in range(_DEEPEST + 1):
        if written.count("%") != len(_ESCAPES.findall(written)):
            raise BadRequest("the path has a % that begins no percent-encoding")
        plain = unicodedata.normalize("NFKC", written)
        if "\\" in plain or any(not letter.isprintable() for letter in plain):
            raise BadRequest("the path hides a backslash or a control character")
        segments = [_CUT.split(segment, maxsplit=1)[0].strip() for segment in plain.split("/")]
        if any(segment and not segment.strip(".") for segment in segments):
            raise BadRequest("the path has a segment of dots: write it without")
        yield "/" + "/".join(bare for segment in segments if (bare := segment.rstrip(". ")))
        if "%" not in plain:
            return
        try:
            written = unquote_to_bytes(plain).decode()
        except UnicodeDecodeError:
            raise BadRequest("the path is percent-encoded, and not from UTF-8") from None
    raise BadRequest("the path is percent-encoded again and again")


def target(api: Api, account: str, *, pinned: str, wanted: str, free: bool, kind: Kind = "oauth") -> str:
    """The origin that a call's path is put behind, without a slash at its end.

    `pinned`: the account's own, as bound into it. `wanted`: where the caller expects the API. `free`: nothing of an
    account goes along, only the caller's own key. `kind`: of the account. Raises Denied where a credential would go
    elsewhere.
    """
    if wanted and free:
        return _origin(wanted)
    known = pinned or api.origin
    if not known:
        sentence = f"it is not known where calls for {account} go: set origin below [api.{api.name}] in the config"
        raise BadRequest(sentence, hint=f"{_bind(account, kind)} --endpoint https://HOST")
    origin = _origin(known)
    if wanted and (elsewhere := _origin(wanted)) != origin:
        raise Denied(
            f"{account} is for {origin} and nowhere else: its credential is not sent to {elsewhere}",
            hint=f"{_bind(account, kind)} --endpoint {elsewhere}" + ("" if kind == "api-key" else " --replace"),
        )
    return origin


def _bind(account: str, kind: Kind) -> str:
    return f"aixtiv api-key set {account}" if kind == "api-key" else f"aixtiv login {account}"


@lru_cache(maxsize=256)
def _origin(endpoint: str) -> str:
    """Remembered: reading one takes as long as everything else that is done to a call's head."""
    return origin_of(endpoint)
