"""The options of `aixtiv login` for accounts that nobody signs in to: their tokens come from a source instead."""

import functools
import os
import shlex
import shutil
from typing import Final

import click

from aixtiv import completing
from aixtiv.commands.options import F, no_secret
from aixtiv.failures import Usage
from aixtiv_protocol.requests import ClientCredentials, Command, Federation, Source

ANT: Final = ("ant", "auth", "print-credentials", "--access-token")


def options(function: F) -> F:
    """Adds them; the function gets what they say as one argument, `source`."""

    @functools.wraps(function)
    def gathering(
        client_credentials: bool,  # click passes it by name
        federation: str,
        organization: str,
        service_account: str,
        workspace: str,
        identity_file: str,
        identity_command: str,
        identity_account: str,
        ant: bool,  # as above
        command: str,
        **others: object,
    ) -> object:
        told = Federation(
            rule=federation,
            organization=organization,
            service_account=service_account,
            workspace=workspace,
            identity_file=os.path.abspath(os.path.expanduser(identity_file)) if identity_file else "",  # noqa: PTH100, PTH111  # pathlib would keep `..`
            identity_command=_program(identity_command) if identity_command else (),
            identity_account=identity_account,
        )
        ways: dict[str, Source | None] = {
            "--client-credentials": ClientCredentials() if client_credentials else None,
            "--federation": _checked(told) if told != Federation() else None,
            "--ant": Command(command=_program(shlex.join(ANT))) if ant else None,
            "--command": Command(command=_program(command)) if command else None,
        }
        given = [option for option, way in ways.items() if way]
        if len(given) > 1:
            raise Usage(f"{' and '.join(given)} exclude each other", hint="aixtiv login --help")
        return function(source=ways[given[0]] if given else None, **others)

    for option in reversed(_OPTIONS):
        gathering = option(gathering)
    return gathering  # type: ignore[return-value]  # what click calls has other parameters than what it wraps


_OPTIONS: Final = (
    click.option("--client-credentials", is_flag=True, help="No person: the client's own token."),
    click.option("--federation", default="", metavar="RULE", help="Exchange an identity token, at Anthropic."),
    click.option("--organization", default="", metavar="ORG", help="The organisation the rule belongs to."),
    click.option("--service-account", default="", metavar="ID", help="Which one of it, if the rule has several."),
    click.option("--workspace", default="", metavar="ID", help="Which one, if not the organisation's own."),
    click.option(
        "--identity-file", type=click.Path(), default="", metavar="FILE", help="The identity token is in this file."
    ),
    click.option("--identity-command", default="", metavar="COMMAND", help="…is what this prints."),
    click.option(
        "--identity-account",
        default="",
        metavar="NAME",
        help="…is that of this account here.",
        callback=no_secret,
        shell_complete=completing.accounts,
    ),
    click.option("--ant", is_flag=True, help="The token of Anthropic's own command, which keeps refreshing it."),
    click.option("--command", default="", metavar="COMMAND", help="The token is what this prints."),
)


def provider(source: Source | None, issuer: str) -> str:
    """Anthropic, where options say so that mean nothing elsewhere; empty: the account's name says it."""
    match source:
        case Federation(rule=rule) if rule and not issuer:
            return "anthropic"
        case Command(command=command) if command[1:] == ANT[1:]:
            return "anthropic"
        case _:
            return ""


def _checked(told: Federation) -> Federation:
    """Without a rule it is the standard exchange of RFC 7523, at any other issuer."""
    identities = (told.identity_file, told.identity_command, told.identity_account)
    if sum(map(bool, identities)) != 1:
        raise Usage(
            "the identity token comes from one of --identity-file, --identity-command and --identity-account",
            hint="aixtiv login --help",
        )
    if told.rule and not told.organization:
        raise Usage("--federation RULE wants --organization ORG beside it", hint="aixtiv login --help")
    if not told.rule and (told.organization or told.service_account or told.workspace):
        raise Usage(
            "--organization, --service-account and --workspace belong to --federation RULE", hint="aixtiv login --help"
        )
    return told


def _program(typed: str) -> tuple[str, ...]:
    """Its words, with the program's absolute path: the daemon has another PATH than this shell."""
    try:
        words = shlex.split(typed)
    except ValueError:
        raise Usage(f"{typed!r} is no command: a quotation mark is missing") from None
    if not words:
        raise Usage("expected a command and its arguments")
    found = shutil.which(words[0])
    if found is None:
        if words[0] == ANT[0]:
            raise Usage("there is no command ant on the PATH: it is Anthropic's own, and has to be installed first")
        raise Usage(f"there is no command {words[0]} on the PATH")
    return (os.path.abspath(found), *words[1:])  # noqa: PTH100  # a link is kept: what it leads to may change
