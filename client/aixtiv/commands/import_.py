"""`aixtiv import`: keys, tokens and sign-ins that other programs left behind, shown and then taken over."""

import os
import sys
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from aixtiv import show
from aixtiv.client import Client
from aixtiv.commands import options
from aixtiv.failures import AixtivError, Usage
from aixtiv.importing import work
from aixtiv.importing.find import Find, Source
from aixtiv.importing.look import LOOKS, look
from aixtiv.setup import diff
from aixtiv.words import clean
from aixtiv_protocol.replies import Account

if TYPE_CHECKING:
    from rich.text import Text


_DEEDS: Final = {"seal", "adopt"}  # what can be done here and now


class Done(Struct, frozen=True):
    """What became of one find."""

    find: Find
    done: bool = False
    problem: AixtivError | None = None


@click.command("import")
@click.argument("source", type=click.Choice(list(LOOKS)), required=False, metavar="[SOURCE]")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; files stay as they are.")
@click.option("--clean", is_flag=True, help="With --yes: take what is sealed out of the files, too.")
@options.common
def import_(source: Source | None, dry_run: bool, yes: bool, clean: bool, as_json: bool, no_start: bool) -> int:
    """Take over what other programs have.

    \b
    environment  keys and client ids in shell profiles
    oidc-agent   its accounts, by its own command
    old          the older command's three files

    Shows what it finds, never a value, and asks before each step: an API key is sealed, a refresh token is stored and
    tried at once, and a line that held a key is commented out, with the file as it was beside it. Can be repeated.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    sources: tuple[Source, ...] = (source,) if source else tuple(LOOKS)
    with options.Asking(no_start=no_start) as client:
        there = client.accounts()
        finds, troubles = look(sources, there, lambda name, value: _holds(client, there, name, value))
        for trouble in troubles:
            show.warning(trouble)
        asking = not (yes or as_json) and sys.stdin.isatty() and sys.stderr.isatty()
        if not as_json:
            _show(finds)
        idle = dry_run or not (asking or yes)
        done = [Done(find) for find in finds] if idle else _carried_out(client, finds, asking=asking)
        changed = [] if idle else _cleaned(done, asking=asking, clean=clean, as_json=as_json)
    if as_json:
        show.as_json({"found": [_shape(one) for one in done], "changed": changed, "troubles": troubles})
    elif idle and not dry_run and any(find.deed in _DEEDS for find in finds):
        raise Usage("nobody can be asked here, and nothing was changed", hint=_again(source))
    else:
        _tell_next(done, _again(source, "") if dry_run else "")
    return next((one.problem.exit_status for one in done if one.problem), 0)


def _again(source: str | None, words: str = "--yes") -> str:
    return " ".join(filter(None, ("aixtiv import", source, words)))


def _holds(client: Client, there: tuple[Account, ...], name: str, value: str) -> bool:
    """Whether that very key is sealed; beside a sign-in, and where a rule gives it to nobody, it cannot be said."""
    if not any(account.name == name and account.kind == "api-key" for account in there):
        return False
    try:
        return client.token(name).access_token.reveal() == value
    except AixtivError:
        return False


def _show(finds: list[Find]) -> None:
    from rich.table import Table  # noqa: PLC0415  # heavy: see show.draw

    if not finds:
        show.result("nothing was found that aixtiv could take over")
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for find in finds:
        grid.add_row(clean(find.what), _row(find))
    show.draw(grid)


def _row(find: Find) -> "Text":
    from rich.text import Text  # noqa: PLC0415  # heavy: see show.draw

    return Text.assemble(clean(find.stands), "\n", (clean(find.note), "dim"))


def _carried_out(client: Client, finds: list[Find], *, asking: bool) -> list[Done]:
    return [_settled(client, find, asking=asking) for find in finds]


def _settled(client: Client, find: Find, *, asking: bool) -> Done:
    question = _question(find)
    waits = find.deed == "sign-in"  # for a person at a browser: nothing that --yes can mean
    if not question or (waits and not asking):
        return Done(find)
    if asking and not click.confirm(show.question(question), default=not waits, err=True):
        return Done(find)
    try:
        return Done(find, done=_do(client, find))
    except AixtivError as failure:
        show.error(failure)
        return Done(find, problem=failure)


def _question(find: Find) -> str:
    """Empty where nothing is to be done."""
    match find.deed:
        case "seal":
            return f"seal the API key of {find.first} as {find.account}?"
        case "adopt":
            return f"take over {find.account} from {find.first}?"
        case "sign-in":
            return f"sign in to {find.account} now?"
        case _:
            return ""


def _do(client: Client, find: Find) -> bool:
    match find.deed:
        case "seal":
            try:
                work.seal(client, find, options.endpoint_of(os.environ, find.account))
            except AixtivError as failure:
                raise options.traced(failure) from None
            show.note(f"sealed the API key of {find.first} as {find.account}")
        case "adopt":
            done = work.adopt(client, find)
            who = done.account.who or done.account.subject
            show.note(f"took over {find.account}{f', signed in as {who}' if who else ''}")
            if done.note:
                show.note(done.note)
        case "sign-in":
            _sign_in(find)
        case "none":
            return False
    return True


def _sign_in(find: Find) -> None:
    """`aixtiv login`, in this process: what its profile says may not be in this shell yet, and goes no further."""
    from aixtiv.commands import aixtiv  # noqa: PLC0415  # which has loaded this module

    lent = {name: value.reveal() for name, value in find.environ if name not in os.environ}
    os.environ.update(lent)
    try:
        aixtiv.main(["login", find.account], prog_name="aixtiv", standalone_mode=False)
    finally:
        for name in lent:
            os.environ.pop(name, None)


def _cleaned(done: list[Done], *, asking: bool, clean: bool, as_json: bool) -> list[str]:
    """Paths of the files that no longer hold what is sealed."""
    sealed = [one.find for one in done if one.find.what == "API key" and (one.done or one.find.sealed)]
    changed: list[str] = []
    for change in work.changes(sealed):
        path, spare = show.short(str(change.path)), show.short(str(change.spare))
        if change.after == change.before:  # a link, which may lead into a repository; a line that does more
            show.note(f"{path} still holds it, where it cannot be taken out without you")
        elif not (_agreed(change, path, spare) if asking else clean):
            show.note(f"{path} still holds it")
        elif _written(change):
            changed.append(str(change.path))
            show.note(f"{path} is changed; {spare} is as it was: delete that when all goes well")
    if sealed and not (changed or asking or clean or as_json):
        person = sys.stdin.isatty() and sys.stderr.isatty()
        show.hint("aixtiv import" if person else "aixtiv import --yes --clean")  # asked, a person sees each change
    return changed


def _agreed(change: work.Change, path: str, spare: str) -> bool:
    show.plain("\n".join(diff.unified(str(change.path), change.before.encode(), change.after.encode(), 0)))
    return click.confirm(show.question(f"change {path} so (as it was: {spare})?"), default=False, err=True)


def _written(change: work.Change) -> bool:
    try:
        work.write(change)
    except AixtivError as failure:
        show.error(failure)
        return False
    return True


def _tell_next(done: list[Done], again: str) -> None:
    """The command to type next: for what was taken over, or can be; else for what a person has to sign in to."""
    taken = next((one.find for one in done if one.done), None)
    waiting = next((one.find.account for one in done if one.find.deed == "sign-in" and not one.done), "")
    if taken and taken.what == "API key":  # not `aixtiv token`, which shows it
        show.hint('aixtiv claude ask "hello"')
    elif taken:
        show.hint(f"aixtiv token {taken.account}")
    elif again and any(one.find.deed in _DEEDS for one in done):
        show.hint(again)
    elif waiting:
        show.hint(f"aixtiv login {waiting}")


def _shape(one: Done) -> dict[str, object]:
    find = one.find
    return {
        "source": find.source,
        "what": find.what,
        "where": find.stands,
        "deed": find.deed,
        "account": find.account,
        "note": find.note,
        "done": one.done,
        "problem": one.problem.sentence if one.problem else "",
    }
