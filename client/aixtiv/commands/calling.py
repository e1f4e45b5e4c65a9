"""What the `claude` commands have in common: whose credential, which endpoint, which model, and how a call begins."""

import os
import select
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import click

from aixtiv import claude, completing, environment, settings, show
from aixtiv.claude import refusal
from aixtiv.commands import options
from aixtiv.commands.options import F
from aixtiv.failures import AixtivError, Usage
from aixtiv_protocol.requests import Headers

if TYPE_CHECKING:
    from aixtiv.client import Client
    from aixtiv.relayed import Relayed

BODY_LIMIT: Final = 1 << 20  # bytes of a refusal that are read
PROMPT_LIMIT: Final = 32 << 20  # bytes; the API takes no more

_VERSION: Final = "anthropic-version"

PATIENCE: Final = 3.0  # seconds of silence on stdin, after which it is said that it is waited for

TOKENS: Final = options.Number("tokens", 1_000_000, whole=True)


def account(function: F) -> F:
    named = click.option(
        "--account",
        "-a",
        default="",
        metavar="ACCOUNT",
        help="Whose credential pays.",
        callback=options.meant,
        shell_complete=completing.accounts,
    )
    return named(options.agents_id(options.no_start(function)))


def prompt(function: F) -> F:
    """Options of the commands that ask for text."""
    function = click.option(
        "--max-tokens", type=TOKENS, default=claude.MAX_TOKENS, help=f"Of the answer ({claude.MAX_TOKENS})."
    )(function)
    return click.option("--model", "-m", default="", metavar="MODEL", help=f"Which one ({claude.MODEL}).")(function)


class Gone(Exception):
    """the endpoint cannot be reached"""

    def __init__(self, failure: AixtivError) -> None:
        self.failure = failure


class Caller:
    """Claude's API as this shell means it: what the environment and the old files say goes along with each call.

    What fails within it repeats no value of a variable that a file names: neither the daemon nor Claude can know it.
    """

    def __init__(self, client: "Client", account: str = "") -> None:
        self._client = client
        self._account = account
        options.tell_of_strays()
        self._filed = settings.api(os.environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        failure = error.failure if isinstance(error, Gone) else error
        if isinstance(failure, AixtivError):
            failure.sentence, failure.hint = map(self._filed.unsaid, (failure.sentence, failure.hint))

    def call(  # as many parts as a call has
        self,
        method: str,
        path: str,
        *,
        headers: Headers = (),
        body: "bytes | BinaryIO | Iterable[bytes] | None" = None,
        first_byte: float | None = None,
    ) -> "Relayed":
        """The answer, as soon as it begins. Raises Unreachable where that takes longer than `first_byte` seconds."""
        try:
            relayed = self._client.relay(
                path,
                method=method,
                account=self._account,
                headers=claude.headers(headers, version=self._filed.version),
                body=body,
                api_key=environment.api_key(os.environ) or None,
                endpoint=environment.api_endpoint(os.environ) or self._filed.endpoint,
                fallback=self._filed.fallback,
                first_byte=first_byte,
            )
        except AixtivError as failure:
            raise options.traced(failure) from None
        if relayed.note:
            show.warning(relayed.note)
        return relayed


def checked(relayed: "Relayed") -> None:
    """Raises what an answer that is not 2xx means, or one that cannot be read."""
    if not 200 <= relayed.status < 300:
        raise refused(relayed, relayed.beginning(BODY_LIMIT))
    claude.check_kind(header(relayed.headers, "content-type"), header(relayed.headers, "content-encoding"))


def refused(relayed: "Relayed", body: bytes, typed: Headers = ()) -> AixtivError:
    """`typed`: headers that a person gave."""
    failure = refusal(
        relayed.status,
        body,
        relayed.account,
        header(relayed.headers, "retry-after"),
        kind=relayed.kind,
        variable=environment.api_key_name(os.environ) if relayed.own else "",
    )
    if relayed.status == 400 and _VERSION in failure.sentence and not header(typed, _VERSION):
        options.trace_to_file(failure, "version")
    return failure


def header(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "").strip()


def model(typed: str) -> str:
    return typed or claude.model(os.environ)


def words(typed: Iterable[str], missing: str) -> str:
    """What is asked: the arguments, then what comes on stdin where that is no terminal."""
    said = " ".join(typed).strip()
    if said:
        _tell_of_waiting()
    text = "\n\n".join(part for part in (said, _piped()) if part)
    if not text:
        raise Usage(missing)
    return text


def _tell_of_waiting() -> None:
    """Of a stdin that somebody left open: it could still bring what the prompt is about."""
    if not sys.stdin.isatty() and not select.select([sys.stdin], [], [], PATIENCE)[0]:
        show.note("waiting for the end of stdin; if nothing comes from there, add < /dev/null")


def _piped() -> str:
    if sys.stdin.isatty():
        return ""
    data = sys.stdin.buffer.read(PROMPT_LIMIT + 1)
    if len(data) > PROMPT_LIMIT:
        raise Usage("stdin is longer than Claude takes (32 MB)")
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise Usage("stdin is not text (UTF-8)") from None
