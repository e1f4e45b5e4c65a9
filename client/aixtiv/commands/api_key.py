"""`aixtiv api-key set|remove`: an account that is a static secret."""

import os

import click

from aixtiv import environment, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import AixtivError, Usage
from aixtiv_protocol.replies import Account


@click.group("api-key", cls=Group)
def api_key() -> None:
    """Keep an API key sealed, as an account."""


@api_key.command("set")
@options.account_else("anthropic", by_folder=False)
@click.option("--from-environment", is_flag=True, help="Take it from ANTHROPIC_API_KEY (or DR_CLAUDE_API).")
@options.endpoint
@options.common
def set_key(account: str, from_environment: bool, endpoint: str, as_json: bool, no_start: bool) -> None:
    """Seal an API key under ACCOUNT (anthropic).

    The key is asked for, and not shown; where stdin is no terminal, its first line is the key. Never an argument:
    those stand in the process list.
    """
    key = environment.api_key(os.environ) if from_environment else options.secret(f"API key for {account}").strip()
    if not key:
        raise Usage("neither ANTHROPIC_API_KEY nor DR_CLAUDE_API holds a key")
    with options.Asking(no_start=no_start) as client:
        typed, endpoint = endpoint, endpoint or options.endpoint_of(os.environ, account.partition("/")[0])
        known = any(there.name == account and there.key for there in client.accounts())
        try:
            kept = client.set_api_key(account, key, endpoint)
        except AixtivError as failure:
            raise failure if typed else options.traced(failure) from None
    if as_json:
        show.as_json(show.shape(kept))
    else:
        show.result(f"{'replaced' if known else 'sealed'} the API key of {kept.name}")
        if kept.endpoint:
            show.pairs([("endpoint", kept.endpoint)])
        _tell_of_sign_in(kept)
        if known and kept.kind == "api-key":
            show.note("the one before is kept for a day; to have that back")
            show.hint(f"aixtiv account restore {kept.name}")
    if kept.provider == "anthropic" and not kept.endpoint and not key.startswith("sk-ant-"):
        show.warning(
            "that does not look like an API key of Anthropic's, which begins with sk-ant-; it is kept as it is"
        )


@api_key.command("remove")
@options.account_typed
@options.common
def remove_key(account: str, as_json: bool, no_start: bool) -> None:
    """Forget the API key of ACCOUNT. It stays good at the provider: revoke it there."""
    with options.Asking(no_start=no_start) as client:
        gone = client.remove_api_key(account)
    if as_json:
        show.as_json(show.shape(gone))
        return
    if isinstance(gone, Account):
        show.result(f"removed the API key of {gone.name}")
        _tell_of_sign_in(gone)
        return
    show.result(f"removed the API key of {gone.account}")
    if gone.note:
        show.note(gone.note)


def _tell_of_sign_in(account: Account) -> None:
    if account.kind != "api-key":
        show.note(f"`aixtiv token {account.name}` goes on giving the token of its sign-in")
