"""What a shell offers behind a command: names that only the daemon knows, if it runs and answers at once."""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from aixtiv.failures import AixtivError

if TYPE_CHECKING:
    from aixtiv.client import Client

PATIENCE: Final = 0.3  # seconds: whoever pressed TAB waits

PROVIDERS: Final = ("anthropic", "github", "gitlab", "google", "microsoft")
"""Those that the daemon knows by name."""

_SAFE: Final = re.compile(r"[A-Za-z0-9._@+/-]+")  # bash puts a word into the line as it is: others go by their id

Item = CompletionItem[str]


def accounts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:  # noqa: ARG001  # click's signature
    """Those there are; where one can be made, also by the name of a provider that is known."""
    found = _told(_accounts)
    if ctx.command.name in {"login", "set"}:
        names = {item.value for item in found}
        found += [CompletionItem(name, help="a provider") for name in PROVIDERS if name not in names]
    return _beginning(incomplete, found)


def providers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:  # noqa: ARG001  # click's signature
    return _beginning(incomplete, [CompletionItem(name) for name in PROVIDERS])


def operations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:  # noqa: ARG001  # click's signature
    """Of a credential helper (gitcredentials(7))."""
    return _beginning(incomplete, [CompletionItem(name) for name in ("get", "store", "erase")])


def tickets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:  # noqa: ARG001  # click's signature
    """Their ids, and the names that persons gave them."""
    return _beginning(incomplete, _told(_tickets))


def servers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:  # noqa: ARG001  # click's signature
    """Remote MCP servers that have a name."""
    return _beginning(incomplete, _told(_servers))


def _servers(client: "Client") -> Iterable[Item]:
    from aixtiv.mcp import servers  # noqa: PLC0415  # not needed where no daemon runs

    found = servers.known(client.status().config, os.environ, tell=False)
    return [CompletionItem(one.name, help=one.url) for one in found if not one.wrong]


def _accounts(client: "Client") -> Iterable[Item]:
    from aixtiv import people  # noqa: PLC0415  # not needed where no daemon runs

    return [CompletionItem(one.name, help=f"{people.kind(one)}, {one.state}") for one in client.accounts()]


def _tickets(client: "Client") -> Iterable[Item]:
    found = client.tickets()
    names = {ticket.name: ticket.account for ticket in found if _SAFE.fullmatch(ticket.name)}
    ids = [CompletionItem(ticket.id, help=f"for {ticket.account} {ticket.name}".rstrip()) for ticket in found]
    return [*ids, *(CompletionItem(name, help=f"for {account}") for name, account in names.items())]


def _told(ask: "Callable[[Client], Iterable[Item]]") -> list[Item]:
    """What the daemon says within the time there is, on a thread of its own: one that hangs keeps nobody waiting."""
    from threading import Thread  # noqa: PLC0415  # only here

    from aixtiv.client import Client  # noqa: PLC0415  # heavy: the wire

    found: list[Item] = []

    def told() -> None:
        with suppress(AixtivError, OSError), Client() as client:  # a shell that completes shows no sentence
            found.extend(ask(client))

    thread = Thread(target=told, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return list(found)


def _beginning(incomplete: str, items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.value.startswith(incomplete)]
