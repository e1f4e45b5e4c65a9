"""`aixtiv` alone: where nothing is set up yet, at most three questions to an account; else how things stand.

Only at a terminal. In a pipe nobody is asked anything, and nothing is looked at.
"""

import os
import re
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import platformdirs
from msgspec import Struct

from aixtiv import environment, failures, show
from aixtiv.commands import options
from aixtiv.failures import AixtivError, Locked, NotRunning, Usage
from aixtiv.importing.find import Find
from aixtiv.importing.look import LOOKS, look
from aixtiv.words import clean
from aixtiv_protocol.names import is_secret
from aixtiv_protocol.replies import Account

_LEFT: Final = "nothing was set up; `aixtiv` alone asks again, `aixtiv --help` lists the commands"
_WRONG: Final = {"failing", "quarantined"}


Obey = Callable[[list[str]], int]


class Way(Struct, frozen=True):
    """One answer to the first question, and the words of the command that it comes to."""

    title: str
    words: Callable[[], list[str]]
    then: str  # the command that shows that it works; {} stands for the account


class _Left(Exception):
    """A question was answered with Enter."""


def at_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def begin(help_text: str, obey: Obey) -> int:
    """The exit status. `help_text`: for where nothing is to be set up. `obey`: carries out a command's words."""
    accounts = _there()
    if accounts == ():
        return _ask(obey)
    show.plain(help_text)
    if accounts:
        show.plain("")
        show.note(_standing(accounts))
    return failures.USAGE


def _there() -> tuple[Account, ...] | None:
    """The daemon's accounts; None where they cannot be known now. Where no daemon ever ran, there are none."""
    try:
        with options.Asking(no_start=True) as client:
            return client.accounts()
    except NotRunning:
        return () if _may_start() and not _store().exists() else None
    except Locked as failure:
        show.note(f"{failure.sentence}; {failure.hint or 'aixtiv unlock'} opens it")
    except AixtivError as failure:
        show.note(failure.sentence)
    return None


def _store() -> Path:
    return Path(platformdirs.user_state_dir("aixtiv")) / "store.db"


def _may_start() -> bool:
    return os.environ.get("AIXTIV_NO_START", "") in ("", "0")


def _standing(accounts: tuple[Account, ...]) -> str:
    """One line; `aixtiv status` is the whole."""
    count = "1 account" if len(accounts) == 1 else f"{len(accounts)} accounts"
    if wrong := [account.name for account in accounts if account.state in _WRONG]:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return f"{count}; something is wrong with {', '.join(wrong[:3])}{more}: `aixtiv status` says what"
    return f"{count}, all in order; `aixtiv status` says more"


def _ask(obey: Obey) -> int:
    ways = _ways()
    show.plain("aixtiv keeps sign-ins fresh and sealed, and hands their tokens to your tools.")
    show.plain("Nothing is set up yet. What shall it keep first?\n")
    for number, way in enumerate(ways, 1):
        show.plain(f"  {number}  {way.title}")
    show.plain("")
    try:
        way = _chosen(ways)
        words = way.words()
    except (_Left, click.Abort, KeyboardInterrupt) as left:
        if not isinstance(left, _Left):
            show.plain("")  # behind ^C
        show.note(_LEFT)
        return 0 if isinstance(left, _Left) else failures.INTERRUPTED
    return _carried_out(obey, words, way.then)


def _chosen(ways: list[Way]) -> Way:
    while True:
        typed = _typed(f"1 to {len(ways)}, or Enter to leave")
        if typed.isdecimal() and 1 <= int(typed) <= len(ways):
            return ways[int(typed) - 1]
        show.refusal(Usage(f"that is no number from 1 to {len(ways)}"))


def _typed(question: str) -> str:
    """One line. Raises _Left for an empty one."""
    typed = str(click.prompt(question, default="", show_default=False, err=True)).strip()
    if not typed:
        raise _Left
    return typed


def _ways() -> list[Way]:
    if environment.api_key(os.environ):
        key = Way(
            f"Claude: the API key that {environment.api_key_name(os.environ)} holds",
            lambda: ["api-key", "set", "anthropic", "--from-environment"],
            'aixtiv claude ask "hello"',
        )
    else:
        key = Way("Claude: an API key", lambda: ["api-key", "set", "anthropic"], 'aixtiv claude ask "hello"')
    ways = [
        key,
        Way("Claude: a sign-in, with a client id that Anthropic gave you", _claude, 'aixtiv claude ask "hello"'),
        Way("GitHub: a sign-in, with a GitHub App of your own", _github, "aixtiv token {}"),
        Way("any OpenID provider: a sign-in, with its address and a client id", _issuer, "aixtiv token {}"),
    ]
    finds, _ = look(tuple(LOOKS), (), lambda _, __: False)
    if takable := [find for find in finds if find.deed in {"seal", "adopt"}]:
        what = " and ".join(dict.fromkeys(_kind(find.what) for find in takable))
        ways.append(Way(f"take over what other programs have here: {what}", lambda: _import(takable), ""))
    return ways


def _kind(what: str) -> str:
    return "sign-ins of oidc-agent" if what.startswith("sign-in") else f"{'an' if what[0] in 'aA' else 'a'} {what}"


def _import(finds: list[Find]) -> list[str]:
    """One question for all of it; files and sign-ins by browser are for `aixtiv import`, which asks about each."""
    for find in finds:
        asks = "; oidc-agent asks for its password" if find.source == "oidc-agent" else ""
        show.plain(f"  {clean(find.first)}: {clean(find.note)}{asks}")
    if not click.confirm(show.question("take over all of this (no file is changed)?"), default=False, err=True):
        raise _Left
    return ["import", "--yes"]


def _claude() -> list[str]:
    words = ["login", "anthropic"]
    return words if environment.client_settings(os.environ, "anthropic").settings.client_id else [*words, *_client()]


def _github() -> list[str]:
    if environment.client_settings(os.environ, "github").settings.client_id:
        return ["login", "github"]
    show.note("register one at https://github.com/settings/apps (callback: http://127.0.0.1/callback)")
    return ["login", "github", *_client(), "--client-secret"]


def _issuer() -> list[str]:
    while True:
        issuer = _typed("the provider's address (its issuer), like https://id.example.org")
        if is_secret(issuer):
            raise Usage(
                "that looks like a key, and now stands on this screen; it belongs at a hidden prompt", hint="aixtiv"
            )
        if "://" not in issuer:
            issuer = f"https://{issuer}"
        if not (problem := _unknown(issuer)):
            break
        show.refusal(Usage(problem))
    return ["login", named(issuer), "--issuer", issuer, *_client()]


def _unknown(issuer: str) -> str:
    """Why nothing can be there, as far as this machine knows; behind a proxy the names are the proxy's to know."""
    try:
        parts = urlsplit(issuer)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "that is no address"
    if not host:
        return "that is no address"
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")):
        return ""
    try:
        socket.getaddrinfo(host, port or 443)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else ""
        return f"{host} is not found{f' ({why})' if why else ''}"
    return ""


def _client() -> list[str]:
    return ["--client-id", _typed("your client id there")]


def named(issuer: str) -> str:
    """An account's name for it: what a person calls that host, `google` of accounts.google.com."""
    host = (urlsplit(issuer).hostname or "").lower()
    labels = host.split(".")
    name = labels[-2] if len(labels) > 1 else ""
    return name if re.fullmatch(r"[a-z][a-z0-9-]*", name) else "company"


def _carried_out(obey: Obey, words: list[str], then: str) -> int:
    """The command itself, as if it had been typed; and what to type next where it went well."""
    show.plain(f"\n$ aixtiv {shlex.join(words)}\n")
    try:
        status = obey(words)
    except Usage as failure:  # above all: nothing was typed at a prompt
        failure.hint = failure.hint or "aixtiv"
        raise
    except (KeyboardInterrupt, click.Abort):
        show.note("left; `aixtiv` alone asks again")
        return failures.INTERRUPTED
    if status == 0 and then:
        show.hint(then.format(words[1]))
    return status
