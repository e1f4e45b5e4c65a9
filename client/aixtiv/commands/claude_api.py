"""`aixtiv claude api`: any call of Claude's API, bytes in and bytes out."""

import http
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import BinaryIO, Final

import click

from aixtiv import show
from aixtiv.commands import calling, options
from aixtiv.commands.calling import BODY_LIMIT, Caller, refused
from aixtiv.failures import AixtivError, Usage
from aixtiv_protocol.requests import Headers

_OURS: Final = ("authorization", "x-api-key")
_WITH_BODY: Final = ("POST", "PUT", "PATCH")


@click.command("api")
@click.argument("method")
@click.argument("path")
@click.option("--input", "file", type=click.Path(), default="", metavar="FILE", help="The body; - is stdin.")
@click.option("--header", "-H", "typed", multiple=True, metavar="NAME:VALUE", help="A header. Can be repeated.")
@click.option("--include", "-i", is_flag=True, help="Print the answer's head, too.")
@calling.account
def api(
    method: str,
    path: str,
    file: str,
    typed: tuple[str, ...],
    include: bool,
    account: str,
    agent: str,
    no_start: bool,
) -> None:
    """Call PATH of Claude's API, and print the answer as it comes.

    The body of a POST, PUT or PATCH is what comes on stdin where that is no terminal. Exits with 1 where the status is
    400 or above; the body is printed all the same.

    \b
    aixtiv claude api GET /v1/models
    aixtiv claude api POST /v1/messages < request.json
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    if not path.startswith("/"):
        raise Usage("the path begins with /", hint=f"aixtiv claude api {method} /v1/models")
    method = method.upper()
    headers = tuple(_header(text) for text in typed)
    if ours := [name for name, _ in headers if name.lower() in _OURS]:
        show.note(f"what -H says as {' and '.join(ours)} goes nowhere: the daemon attaches the credential")
    with (
        _body(method, file) as body,
        options.Asking(no_start=no_start, agent=agent) as client,
        Caller(client, account) as caller,
        caller.call(method, path, headers=headers, body=body) as relayed,
    ):
        if include:
            show.raw(_head(relayed.status, relayed.headers))
        seen = _print(relayed)
        if relayed.status >= 400:
            raise _alike(refused(relayed, seen, headers))


def _print(pieces: Iterable[bytes]) -> bytes:
    """The bytes as they come. Gives back the first of them."""
    seen, last = bytearray(), b"\n"
    for piece in pieces:
        show.raw(piece)
        last = piece[-1:] or last
        if len(seen) < BODY_LIMIT:
            seen += piece
    if last != b"\n" and sys.stdout.isatty():
        show.raw(b"\n")
    return bytes(seen)


def _alike(failure: AixtivError) -> AixtivError:
    """One exit status for every refusal of the API: who calls it by hand reads the body."""
    return AixtivError(failure.sentence, hint=failure.hint, code=failure.code)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise Usage("a header is written NAME:VALUE")
    return name.strip(), value.strip()


@contextmanager
def _body(method: str, file: str) -> Iterator[BinaryIO | None]:
    if file and file != "-":
        with _opened(file) as opened:
            yield opened
    elif file or (method in _WITH_BODY and not sys.stdin.isatty()):
        yield sys.stdin.buffer
    else:
        yield None


def _opened(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise AixtivError(f"{file} cannot be read: {error.strerror}", hint=f"ls -l {quote(file)}") from None


def _head(status: int, headers: Headers) -> bytes:
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:  # 529 is Claude's own
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}".rstrip(), *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode(errors="replace")
