"""Which account is meant where none is typed, and why: by the environment, by the folder, else by the daemon."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Final

from msgspec import Struct

from aixtiv import pinned, show
from aixtiv.completing import PROVIDERS
from aixtiv.failures import AixtivError, NoAccount
from aixtiv.filed import Misread, contents, edit
from aixtiv_protocol.names import is_secret
from aixtiv_protocol.replies import Account

VARIABLE: Final = "AIXTIV_ACCOUNT"


class Meant(Struct, frozen=True):
    """`account` empty: none; `why`: a sentence about it, which goes on after its name."""

    account: str
    why: str = ""
    hint: str = ""
    file: str = ""  # that says it, if one does


def here(environ: Mapping[str, str]) -> Meant:
    """What this shell and this folder say; nothing: then it is the daemon's default. Raises Misread."""
    if said := environ.get(VARIABLE, ""):
        return Meant(said, f"{VARIABLE} says so")
    path, _ = pinned.nearest()
    return Meant(_in(path), f"{show.short(path)} says so", file=show.short(path)) if path else Meant("")


def used(environ: Mapping[str, str], accounts: Sequence[Account]) -> Meant:
    """The account that a command means here which names none."""
    meant = here(environ)
    if meant.account:
        if any(account.name == meant.account for account in accounts):
            return meant
        return Meant(meant.account, f"{meant.why}, and there is none of that name", _mend(meant), meant.file)
    for account in accounts:
        if account.default:
            return Meant(account.name, "it is the only one" if len(accounts) == 1 else "it is the config's default")
    return Meant("", "none is the default", f"export {VARIABLE}=NAME") if accounts else Meant("")


def traced(failure: NoAccount, environ: Mapping[str, str], words: Sequence[str]) -> None:
    """Says where a name that is none comes from, if nobody typed it: the daemon cannot know."""
    with suppress(AixtivError):
        meant = here(environ)
        if meant.account and f"no account {meant.account}" in failure.sentence and meant.account not in words:
            failure.sentence += f" ({meant.file or VARIABLE} names it)"
            failure.hint = _mend(meant)


def _mend(meant: Meant) -> str:
    """The command that makes such a name good: only the daemon's own providers need no more than it."""
    if meant.account.partition("/")[0] in PROVIDERS:
        return f"aixtiv login {meant.account}"
    return edit(os.path.expanduser(meant.file)) if meant.file else f"unset {VARIABLE}"  # noqa: PTH111  # text in, text out


def tell_of_passed_by() -> None:
    """Files on the way that do not count, since they could be anybody's."""
    for path in pinned.nearest()[1]:
        show.note(f"{show.short(path)} is not read: it has to be a plain file of yours that not everybody can write")
        show.hint(f"ls -l {quote(path)}")


def _in(path: str) -> str:
    """Raises Misread: such a file lies in a folder that may come from anywhere, and can say nothing else."""
    name = show.short(path)
    try:
        data = contents(Path(path))
        if len(data) > pinned.LONGEST:  # the parser takes its time
            raise Misread(f"{name}: this is longer than one name can be", hint=edit(path))
        found = tomllib.loads(data.decode())
    except FileNotFoundError:
        return ""
    except (ValueError, RecursionError):  # a number may be too long, too
        raise Misread(f'{name}: expected one line: account = "NAME"', hint=edit(path)) from None
    for key in found:
        if key != "account":
            raise Misread(f"{name}: {_shown(key)}: this file can name an account and nothing else", hint=edit(path))
    said = found.get("account")
    if not isinstance(said, str) or not said:
        raise Misread(f"{name}: account: expected the name of an account", hint=edit(path))
    if is_secret(said):
        raise Misread(f"{name}: account: what stands there looks like a key or a token", hint=edit(path))
    if not pinned.is_name(said):
        raise Misread(f"{name}: account: no account can be called what stands there", hint=edit(path))
    return said


def _shown(key: str) -> str:
    """A key that somebody may have written there instead of its value."""
    return key if key.isidentifier() and len(key) <= 40 and not is_secret(key) else "another key"
