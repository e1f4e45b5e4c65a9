"""`aixtiv callback`: finishes a sign-in with the pasted address or code."""

import click

from aixtiv import completing, people
from aixtiv.commands import options
from aixtiv.failures import Usage


def _no_secrets(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word if _is_pasted(word) else options.no_secret(ctx, param, word) for word in words)


@click.command("callback")
@click.argument("words", nargs=-1, metavar="[ACCOUNT]", callback=_no_secrets)
@click.option(
    "--account",
    default="",
    metavar="NAME",
    help="The same as ACCOUNT.",
    callback=options.no_secret,
    shell_complete=completing.accounts,
)
@options.common
def callback(words: tuple[str, ...], account: str, as_json: bool, no_start: bool) -> None:
    """Finish a sign-in with a pasted address or code.

    The address is where the browser ended up; some providers show a code instead. It is asked for (and not shown), or
    read from stdin where that is no terminal. An address may also be given as an argument: the process list shows it,
    but its code is good only once and only for this machine's sign-in.

    ACCOUNT is needed only for a lone code, while more than one sign-in is open.
    """
    finish(words, account, as_json=as_json, no_start=no_start)


def finish(words: tuple[str, ...], account: str = "", *, as_json: bool, no_start: bool) -> None:
    names = [word for word in words if not _is_pasted(word)]
    names += [account] if account and account not in names else []
    pasted = [word for word in words if _is_pasted(word)]
    if len(names) > 1 or len(pasted) > 1:
        raise Usage("too many arguments")
    text = pasted[0] if pasted else options.secret("address or code")
    account = names[0] if names else "" if _is_pasted(text) else options.here()
    with options.Asking(no_start=no_start) as client:
        people.signed_in(client.callback(text, account), as_json=as_json)


def _is_pasted(word: str) -> bool:
    """An address or `code#state`, neither of which an account's name can be."""
    return "://" in word or "#" in word
