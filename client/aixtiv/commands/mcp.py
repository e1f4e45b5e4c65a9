"""`aixtiv mcp`: remote MCP servers, for clients that know nothing of signing in."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from aixtiv import completing, filed, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import Usage
from aixtiv.mcp import editing, servers
from aixtiv.mcp.servers import Server


class _Servers(Group):
    """What is no command below is a server's name or address."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return bridge if found is None and not cmd_name.startswith("-") else found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return ("", bridge, args) if command is bridge else (name, command, rest)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        return [*completing.servers(ctx, bridge.params[0], incomplete), *super().shell_complete(ctx, incomplete)]


@click.group("mcp", cls=_Servers, subcommand_metavar="NAME|URL | COMMAND [ARGS]...")
def mcp() -> None:
    """Bridge to a remote MCP server, signed in.

    \b
    aixtiv mcp add ctt-mcp https://mcp.example.org/mcp
    aixtiv setup claude-desktop --mcp ctt-mcp
    aixtiv mcp ctt-mcp

    `aixtiv mcp NAME` (or an address) is an MCP server on stdin and stdout for any client that can start a command. What
    it is asked, the daemon asks the remote server, with the account's token, which this process never sees. Where a
    sign-in is needed, the browser opens.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"


class _Asking(options.Asking):
    """Of a process that lives long: it greets nobody, or it would tell of another version with every call."""

    def __init__(self, *, no_start: bool) -> None:
        super().__init__(no_start=no_start)
        self._greets = False


class _Bridge(click.Command):
    """It has no name of its own, and an address, in which a password may stand, is not repeated as one."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path.rstrip(), "[OPTIONS] NAME|URL")


@click.command("bridge", cls=_Bridge)
@click.argument("server", metavar="NAME|URL", callback=options.no_secret, shell_complete=completing.servers)
@options.no_start
def bridge(server: str, no_start: bool) -> None:
    """Bridge to a remote MCP server, signed in: an MCP server on stdin and stdout, for a client to start."""
    from aixtiv.mcp import bridge as bridging  # noqa: PLC0415  # only here
    from aixtiv.mcp.door import Door  # noqa: PLC0415  # as above
    from aixtiv.mcp.signing import SigningIn  # noqa: PLC0415  # as above

    if sys.stdin.isatty():
        raise Usage("this is for an MCP client to start, and speaks to no terminal", hint="aixtiv mcp list")
    with options.Asking(no_start=no_start) as client:
        meant = servers.usable(server, client.status().config, os.environ)

    asking = partial(_Asking, no_start=no_start)
    bridging.run(Door(meant, SigningIn(meant, os.environ, asking), asking, partial(_Asking, no_start=True)))


@mcp.command("add")
@click.argument("name", callback=options.no_secret)
@click.argument("url")
@click.option(
    "--account",
    default="",
    metavar="NAME",
    help="Call it as another account than NAME.",
    callback=options.no_secret,
    shell_complete=completing.accounts,
)
@click.option("--client-id", default="", metavar="ID", help="Of a client that was registered there by hand.")
@click.option("--client-id-metadata", default="", metavar="URL", help="Of a client-id metadata document of yours.")
@click.option("--transport", type=click.Choice(["auto", "http", "sse"]), default="auto", help="If it has to be said.")
@options.scopes("--scope", "-s", help="A scope to ask for, where the server does not say.")
@options.no_start
def add(
    name: str,
    url: str,
    account: str,
    client_id: str,
    client_id_metadata: str,
    transport: str,
    scopes: tuple[str, ...],
    no_start: bool,
) -> None:
    """Write a server into the config, under a name.

    \b
    aixtiv mcp add ctt-mcp https://mcp.example.org/mcp
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    if name in servers.WORDS or not servers.NAME.fullmatch(name):
        raise Usage(f"a server cannot be called {name!r}")
    server = Server(
        name=name,
        url=servers.checked(url),
        account=account,
        transport=transport,
        client_id=client_id,
        client_id_metadata=client_id_metadata,
        scopes=scopes,
    )
    with options.Asking(no_start=no_start) as client:
        config = Path(client.status().config)
        editing.write(config, server, client)
    show.note(f"{name} is in {show.short(str(config))}; a client starts it with `aixtiv mcp {name}`")
    show.hint(f"aixtiv setup claude-desktop --mcp {name}")


@mcp.command("list")
@options.common
def list_(as_json: bool, no_start: bool) -> None:
    """The servers that have a name, and who is signed in."""
    with options.Asking(no_start=no_start) as client:
        found = servers.known(client.status().config, os.environ)
        states = {account.name: account.state for account in client.accounts()}
    if as_json:
        show.as_json({"servers": [_shape(server, states) for server in found]})
        return
    if not found:
        show.note("no MCP server is configured")
        show.hint("aixtiv mcp add NAME https://HOST/PATH")
        return
    for server in found:
        if server.wrong:
            show.result(f"{server.name}  cannot be used: {server.wrong}")
            continue
        state = states.get(server.whose, "not signed in")
        file = " (claude.desktop.config.json)" if server.old else ""
        show.result(f"{server.name}  {server.url}  {server.whose}: {state}{file}")


def _shape(server: Server, states: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": server.name,
        "url": server.url,
        "account": server.whose,
        "state": states.get(server.whose, ""),
        "transport": server.transport,
        "client_id": server.client_id,
        "client_id_metadata": server.client_id_metadata,
        "scopes": list(server.scopes),
        "old": server.old,
        "wrong": server.wrong,
    }


@mcp.command("remove")
@click.argument("name", callback=options.no_secret, shell_complete=completing.servers)
@options.no_start
def remove(name: str, no_start: bool) -> None:
    """Take a server out of the config. Its account stays, as signed in as it is."""
    with options.Asking(no_start=no_start) as client:
        config = Path(client.status().config)
        server = servers.meant(name, str(config), os.environ, "aixtiv mcp remove", "aixtiv mcp list")
        if server.old:
            raise Usage(
                f"{name} is in claude.desktop.config.json, which is the older command's, and yours to edit",
                hint=filed.edit(server.file),
            )
        editing.remove(config, name, client)
        stays = any(account.name == server.whose for account in client.accounts())
    show.note(f"{name} is not in {show.short(str(config))} any more{'; its account stays' if stays else ''}")
    if stays and server.whose == name:  # another's is not this one's to end
        show.hint(f"aixtiv logout {server.whose}")
