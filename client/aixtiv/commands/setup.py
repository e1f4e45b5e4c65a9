"""`aixtiv setup`: other tools' settings, so that they find the gateway; and back again."""

import os
import shlex
import sys
from pathlib import Path

import click

from aixtiv import completing, itself, show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.commands.options import F
from aixtiv.failures import Usage
from aixtiv.mcp import servers
from aixtiv.setup import claude_code, files, jsontext, mcp, record, sdk_profile, shell
from aixtiv.setup.port import is_managed
from aixtiv.setup.work import Ask, Done, Setup, do, undo


@click.group("setup", cls=Group)
def setup() -> None:
    """Have other tools call Claude through aixtiv.

    Each shows what it will change and asks first, keeps what was there before, and takes it all back with --undo.
    """


def _common(function: F) -> F:
    for option in (
        options.no_start,
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--undo", "undone", is_flag=True, help="Take it back: files, ticket and port."),
        click.option("--port", type=options.PORT, default=0, help="Of the gateway on 127.0.0.1, fixed from then on."),
        click.option(
            "--account",
            "-a",
            default="",
            metavar="NAME",
            help="Whose credential pays.",
            callback=options.no_secret,
            shell_complete=completing.accounts,
        ),
    ):
        function = option(function)
    return function


_server = click.option(
    "--mcp",
    "server",
    default="",
    metavar="NAME",
    help="Give it this remote MCP server instead.",
    shell_complete=completing.servers,
)


@setup.command("claude-code")
@_server
@_common
def setup_claude_code(account: str, port: int, undone: bool, yes: bool, no_start: bool, server: str) -> None:
    """Claude Code: where it calls, and its command for tickets.

    \b
    apiKeyHelper            aixtiv claude-key
    env.ANTHROPIC_BASE_URL  http://127.0.0.1:PORT

    With --mcp, an entry that starts `aixtiv mcp NAME` among its MCP servers, and nothing else.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    if server:
        if account or port:
            raise Usage("--mcp goes with neither --account nor --port: the config says whose server it is")
        _give("claude-code", server, undone=undone, yes=yes, no_start=no_start)
        return
    what = Setup(
        "claude-code",
        "Claude Code",
        lambda number, _: claude_code.goals(os.environ, Path.home(), itself.lasting(), account, number),
    )
    done = _carried_out(what, account, port, undone=undone, yes=yes, no_start=no_start)
    if done is None:
        return
    tree = jsontext.read(files.read(claude_code.settings(os.environ, Path.home())))
    if hiding := claude_code.hidden(tree, os.environ):
        show.note(f"{' and '.join(hiding)} is set, and Claude Code takes that instead")
        show.hint(f"unset {' '.join(hiding)}")


@setup.command("claude-desktop")
@click.option(
    "--mcp",
    "server",
    required=True,
    metavar="NAME",
    help="The remote MCP server that it is to have.",
    shell_complete=completing.servers,
)
@click.option("--undo", "undone", is_flag=True, help="Take it back.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.no_start
def setup_claude_desktop(server: str, undone: bool, yes: bool, no_start: bool) -> None:
    """Claude Desktop: a remote MCP server among its own."""
    _give("claude-desktop", server, undone=undone, yes=yes, no_start=no_start)


def _give(tool: mcp.Tool, name: str, *, undone: bool, yes: bool, no_start: bool) -> None:
    """A server of the config's to a tool that starts its servers by itself."""
    again = f"aixtiv setup {tool} --mcp {shlex.quote(name)} {'--undo ' * undone}--yes"
    path = mcp.file(tool, os.environ, Path.home())
    if undone:
        told = mcp.undo(tool, name, _asking(again, yes=yes))
        for one in told or ():
            show.note(f"{show.short(one.path)} {one.sentence}")
        show.note("nothing was changed" if told is None else f"{mcp.TITLES[tool]} has no server {name} any more")
        return
    with options.Asking(no_start=no_start) as client:
        servers.usable(name, client.status().config, os.environ, f"aixtiv setup {tool} --mcp")
    done = mcp.do(tool, name, mcp.goals(path, itself.lasting(), name), _asking(again, yes=yes))
    if done is None:
        show.note("nothing was changed")
        return
    already = "" if done else " already"
    title = mcp.TITLES[tool]
    show.note(f"{title} has the server {name}{already}, in {show.short(str(path))}; each start of {title} starts it")


@setup.command("sdk-profile")
@_common
def setup_sdk_profile(account: str, port: int, undone: bool, yes: bool, no_start: bool) -> None:
    """A profile that Anthropic's SDKs and Claude Code know.

    Then ANTHROPIC_PROFILE=aixtiv is all they need. The profile holds a ticket, good on this machine only.
    """
    what = Setup(
        "sdk-profile",
        "the SDKs' profile",
        lambda number, ticket: sdk_profile.goals(os.environ, number, ticket),
        needs_ticket=True,
    )
    if _carried_out(what, account, port, undone=undone, yes=yes, no_start=no_start):
        show.note("tools use it where ANTHROPIC_PROFILE says so")
        show.hint(f"export ANTHROPIC_PROFILE={sdk_profile.PROFILE}")


@setup.command("env")
@click.option("--write", is_flag=True, help="Put them into this shell's profile, instead of on stdout.")
@_common
def setup_env(account: str, port: int, undone: bool, yes: bool, no_start: bool, write: bool) -> None:
    """Lines for the shell, with an address and a ticket.

    ANTHROPIC_BASE_URL, and in ANTHROPIC_AUTH_TOKEN a ticket that lasts until --undo, which ends all that were made so.
    Each time makes another ticket; for every new shell, let --write put one into its start-up file.

    \b
    eval "$(aixtiv setup env --yes)"
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    mine = shell.mine(os.environ, Path.home())
    if not undone:
        shell.check(mine)
    file, kept = shell.file(mine), write or bool(record.load("env").changes)
    what = Setup(
        "env",
        "the shell",
        lambda number, ticket: shell.goals(mine, file, number, ticket) if kept else (),
        needs_ticket=True,
        handed_out=True,
    )
    done = _carried_out(what, account, port, undone=undone, yes=yes, no_start=no_start, words="--write " * write)
    if done and done.earlier and not write:
        count = "1 earlier ticket" if done.earlier == 1 else f"{done.earlier} earlier tickets"
        show.note(f"{count} of `aixtiv setup env` can still be used; for every new shell, one is enough")
        show.hint("aixtiv setup env --write")
    if done and write:
        show.note("new shells have it; this one with")
        show.hint(f". {show.short(str(file))}")
    elif done:
        show.result(files.read(file).rstrip() if kept else shell.lines(mine, done.port, done.ticket))


def _carried_out(
    what: Setup, account: str, number: int, *, undone: bool, yes: bool, no_start: bool, words: str = ""
) -> Done | None:
    """What was done; None where nothing was, or something was undone. `words`: options of its own that were typed."""
    again = words + f"--account {shlex.quote(account)} " * bool(account) + f"--port {number} " * bool(number)
    again += "--undo " * undone

    ask = _asking(f"aixtiv setup {what.name} {again}--yes", yes=yes)
    with options.Asking(no_start=no_start) as client:
        if undone:
            _undo(what, client, ask)
            return None
        done = do(what, client, ask, account=account, asked_port=number)
    if done is None:
        show.note("nothing was changed")
    else:
        show.note(f"{what.title} is set up" + ("" if done.changed else " already"))
        if not is_managed():
            show.note("its port answers while the daemon runs, which any `aixtiv` starts; as a service it always does")
    return done


def _asking(again: str, *, yes: bool) -> Ask:
    """`again`: the command that asks nobody."""

    def ask(lines: list[str], question: str) -> bool:
        if lines:
            show.plain("\n".join(lines))
        if yes:
            return True
        if not sys.stdin.isatty():
            raise Usage(f"nobody can be asked whether to {question}", hint=again)
        return click.confirm(f"{question}?", err=True)

    return ask


def _undo(what: Setup, client: options.Asking, ask: Ask) -> None:
    told = undo(what, client, ask)
    if told is None:
        show.note("nothing was changed")
        return
    for one in told:
        show.note(f"{show.short(one.path)} {one.sentence}")
    show.note(f"the setup of {what.title} is undone")
