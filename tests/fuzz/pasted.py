"""What a person pastes at the end of a sign-in, and the query that a browser brings."""

from contextlib import suppress
from typing import Final

from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInFailed
from aixtivd.oauth.response import Response, parse_pasted, parse_query
from fuzz.target import Target

_SEEDS: Final = (
    b"http://127.0.0.1:4711/callback?code=abc&state=xyz&iss=https%3A%2F%2Fi.example",
    b"http://[::1]:4711/callback?error=access_denied&error_description=no+way&state=xyz",
    b"https://example.org/done#code=abc&state=xyz",
    b"abc#xyz",
    b"'code=abc&state=xyz'",
)


def pasted(data: bytes) -> None:
    """As it arrives from a terminal: bytes that are no UTF-8 as halves of surrogate pairs (PEP 383)."""
    with suppress(SignInFailed):
        _check(parse_pasted(Secret(data.decode(errors="surrogateescape"))))


def query(data: bytes) -> None:
    with suppress(SignInFailed):
        _check(parse_query(data.decode("latin-1")))


def _check(found: Response) -> None:
    """Either a code or an error; what is shown of it cannot drive a terminal."""
    assert (found.code is None) == bool(found.error)
    assert (found.error + found.error_description).isprintable()


_WORDS: Final = (b"code=", b"&state=", b"&code=", b"#", b"%00", b"%ff", b"://", b"[", b"error=", b";", b"&iss=")

TARGETS: Final = (
    Target("pasted", pasted, lambda: list(_SEEDS), words=_WORDS),
    Target("query", query, lambda: [seed.partition(b"?")[2] or seed for seed in _SEEDS], words=_WORDS),
)
