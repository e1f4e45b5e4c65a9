"""What commands have in common: the account, `--json`, `--no-start`, and a client made from them."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from aixtiv import completing, environment, settings, show, which
from aixtiv.claude import ORIGIN
from aixtiv.client import Client
from aixtiv.failures import AixtivError, Denied, NoAccount, NotUnderstood, Usage
from aixtiv.filed import edit
from aixtiv.talking import renewing
from aixtiv.words import DAY, HOUR, MINUTE
from aixtiv_protocol import VERSION
from aixtiv_protocol.names import is_secret
from aixtiv_protocol.replies import TicketMade, Welcome

_UNITS: Final = {"": 1, "s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
_LONGEST: Final = 1_000_000_000  # seconds

F = TypeVar("F", bound=Callable[..., object])

_OPTION: Final = "aixtiv.account"  # in click's meta: what --account says

SECRET_LIMIT: Final = 16 * 1024  # characters; whatever is longer is not a secret


def no_secret(ctx: click.Context, param: click.Parameter, word: str) -> str:  # noqa: ARG001  # click's signature
    """Of an account's name: a key that was typed in its place is sent to nobody, and not repeated."""
    if is_secret(word or ""):
        raise Usage(
            "that is no account's name: it looks like a key or a token, and now stands in this shell's history;"
            " have it replaced where it was made, and give the new one at the prompt",
            hint="aixtiv api-key set NAME",
        )
    return word


def meant(ctx: click.Context, param: click.Parameter, word: str, *, by_folder: bool = True) -> str:
    """The account of an argument and of `--account`, which say the same; else what this shell and this folder say."""
    typed, option = no_secret(ctx, param, word), ctx.meta.get(_OPTION, "")
    if typed and option and typed != option:
        raise Usage(f"the account is {typed} or {option}: say it once")
    return typed or option or ("" if ctx.resilient_parsing else here(by_folder=by_folder))


def typed() -> bool:
    """Whether an account was, by either name."""
    ctx = click.get_current_context()
    by_itself = ctx.get_parameter_source("account") is click.core.ParameterSource.DEFAULT
    return bool(ctx.meta.get(_OPTION)) or not by_itself


def here(*, by_folder: bool = True) -> str:
    """The account that is meant where none is typed, as far as it is not left to the daemon.

    Without `by_folder` a folder, which may be somebody else's, decides nothing. Raises Usage where it would.
    """
    which.tell_of_passed_by()
    meant = which.here(os.environ)
    if meant.file and not by_folder:
        raise Usage(f"{meant.file} names an account, and for this it has to be typed", hint="aixtiv accounts")
    return meant.account


def _noted(ctx: click.Context, param: click.Parameter, word: str) -> None:
    ctx.meta[_OPTION] = no_secret(ctx, param, word)


account_option = click.option(
    "--account",
    "account_option",
    default="",
    metavar="NAME",
    help="The same as ACCOUNT.",
    is_eager=True,  # before the argument, which looks at it
    expose_value=False,
    callback=_noted,
    shell_complete=completing.accounts,
)


def account_else(default: str, *, by_folder: bool = True) -> Callable[[F], F]:
    """ACCOUNT, or `--account`; `default`: where neither is typed and neither shell nor folder says one."""

    def decorate(function: F) -> F:
        named = click.argument(
            "account",
            required=False,
            default="",
            metavar="[ACCOUNT]",
            callback=lambda ctx, param, word: meant(ctx, param, word, by_folder=by_folder) or default,
            shell_complete=completing.accounts,
        )
        return named(account_option(function))

    return decorate


account_to_be_typed = click.option(
    "--account",
    default="",
    metavar="NAME",
    help="Of this account alone.",
    callback=no_secret,
    shell_complete=completing.accounts,
)
"""For what looks by itself whose it is: neither shell nor folder says."""

account = account_else("")
account_typed = account_else("", by_folder=False)
"""For what cannot be taken back."""

json = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object on stdout.")
no_start = click.option("--no-start", is_flag=True, help="Do not start the daemon (or set AIXTIV_NO_START).")


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5, and 8.3 will do
    """A number within bounds, refused in our own words; click's own help of a range reads like algebra."""

    def __init__(self, name: str, most: int, *, whole: bool = False) -> None:
        self.name = name
        self._most = most
        self._kind = int if whole else float

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = self._kind(str(value))
        except ValueError:
            number = -1
        if not 0 <= number <= self._most:
            kind = "whole number" if self._kind is int else "number"
            self.fail(f"expected a {kind} from 0 to {self._most}", param, ctx)
        return number


class Span(click.ParamType):  # type: ignore[type-arg]  # as above
    """Seconds, from `90`, `90s`, `15m`, `1h` or `7d`."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,10})([smhd]?)", str(value))
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not 0 < seconds <= _LONGEST and str(value) != "0":
            self.fail("expected a time like 90s, 15m, 1h or 7d", param, ctx)
        return seconds


ttl = click.option("--ttl", type=Span(), default=0, metavar="TIME", help="When it ends at the latest: 15m, 1h, 7d.")
"""Of a ticket."""


def scopes(*names: str, help: str) -> Callable[[F], F]:  # noqa: A002  # click's word
    """An option that gives a tuple of scopes, however they were typed: repeated, or apart by blanks or commas."""

    def split(ctx: click.Context, param: click.Parameter, typed: tuple[str, ...]) -> tuple[str, ...]:
        found = [several.replace(",", " ").split() for several in typed]
        if not all(found):
            raise click.BadParameter("expected the name of a scope", ctx, param)
        return tuple(scope for several in found for scope in several)

    return click.option(*names, "scopes", multiple=True, callback=split, help=f"{help} Can be repeated.")


endpoint = click.option("--endpoint", default="", metavar="URL", help="Where the API is, if not at its own place.")


def endpoint_of(environ: Mapping[str, str], provider: str) -> str:
    """What the older command's variables and file say about Claude's endpoint; empty where they say nothing new."""
    if provider not in {"anthropic", "claude"}:
        return ""
    found = environment.api_endpoint(environ) or settings.api(environ).endpoint
    return "" if found == ORIGIN or found.startswith(f"{ORIGIN}/v1") else found  # the API's own place need not be said


def traced(failure: AixtivError) -> AixtivError:
    """Where an endpoint that the daemon refuses comes from, which it cannot know."""
    if "--endpoint" not in failure.hint and not failure.sentence.startswith("the API's endpoint"):
        return failure
    if name := environment.api_endpoint_name(os.environ):
        failure.sentence += f"; {name} says that address"
        failure.hint = f"unset {name}"
    elif settings.api(os.environ).endpoint:
        trace_to_file(failure, "address")
    return failure


def trace_to_file(failure: AixtivError, what: str) -> None:
    """That the older command's file says it, if there is one."""
    if file := settings.api_file(os.environ):
        failure.sentence += f"; {show.short(str(file.path))} says that {what}"
        failure.hint = edit(str(file.path))


WAIT: Final = Number("seconds", 3600)
LIFE: Final = Number("seconds", _LONGEST, whole=True)
PORT: Final = Number("port", 65_535, whole=True)


def common(function: F) -> F:
    return json(no_start(function))


def agents_id(function: F) -> F:
    """`--agent`, else AIXTIV_AGENT_ID."""
    return click.option("--agent", default="", metavar="ID", help="The calling agent's id (or set AIXTIV_AGENT_ID).")(
        function
    )


class Asking(Client):
    """A client that starts the daemon, or says what would, and at its end whether that is of another version."""

    def __init__(self, *, no_start: bool = False, agent: str = "", path: str = "") -> None:
        forbidden = no_start or os.environ.get("AIXTIV_NO_START", "") not in ("", "0")
        super().__init__(path, start=not forbidden, say=show.note, agent=agent.strip() or environment.agent(os.environ))
        self._greets = True

    def __exit__(self, *error: object) -> None:
        """Not where it was the reason of a failure, which says so itself."""
        super().__exit__(*error)
        if self._welcome and self._welcome.version != VERSION and error[0] is not NotUnderstood:
            tell_of_versions(self._welcome)
            self._welcome = None

    def ticket(self, account: str = "", **asked: Any) -> TicketMade:
        """Where there is no account yet, and this shell has a key for one, the hint is to take that."""
        try:
            return super().ticket(account, **asked)
        except NoAccount as failure:
            if failure.hint.startswith("aixtiv api-key set") and environment.api_key(os.environ):
                failure.hint += " --from-environment"
            raise


def tell_of_versions(welcome: Welcome) -> None:
    """Once a command. What an upgrade left running is restarted; a command that is behind has a newer one somewhere."""
    version = welcome.version if re.fullmatch(r"[0-9A-Za-z.+-]{1,40}", welcome.version) else "of another version"
    show.note(f"the daemon is {version}, and this command {VERSION}")
    show.hint("type -a aixtiv" if _behind(VERSION, welcome.version) else renewing(welcome))


def _behind(ours: str, theirs: str) -> bool:
    """Where a version cannot be read, neither is the older one."""
    numbers = [[int(part) for part in re.findall(r"[0-9]{1,9}", version)] for version in (ours, theirs)]
    return numbers[0] < numbers[1]


@contextmanager
def signalling(client: Client) -> Iterator[None]:
    """A rule that shuts out its own author: a signal is nothing that a rule can forbid."""
    try:
        yield
    except Denied as failure:
        failure.sentence += "; a mended config is read on SIGHUP, too"
        failure.hint = f"kill -HUP {client.status().pid}"
        raise


def tell_of_strays() -> None:
    """Of the old command's files in the current folder, where they are not read."""
    try:
        here = Path.cwd()
    except OSError:  # a folder that is gone
        return
    for name in settings.strays(os.environ, here):
        folder = show.short(str(settings.folders(os.environ)[-2]))
        show.note(f"{name} in this folder is not read: it could be anybody's; if it is yours, move it to {folder}")


def secret(prompt: str, *, again: str = "") -> str:
    """A secret from the person (not shown; asked twice with `again`), or stdin's first line if that is no terminal.

    Never an argument: those stand in the process list for all to read.
    """
    if not sys.stdin.isatty():
        return _whole(sys.stdin.readline(SECRET_LIMIT + 2).strip("\r\n"), "nothing came on stdin")
    text = _whole(getpass(f"{prompt}: "), "nothing was typed")
    if again and getpass(f"{again}: ") != text:
        raise Usage("the two are not the same")
    return text


def _whole(text: str, missing: str) -> str:
    """Never a part of it: a secret that was cut would fail much later, and nobody would know why."""
    if not text.strip():
        raise Usage(missing)
    if len(text) > SECRET_LIMIT:
        raise Usage(f"that is longer than a secret can be ({SECRET_LIMIT // 1024} KiB)")
    return text
