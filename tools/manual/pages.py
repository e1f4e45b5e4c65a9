"""The pages: aixtiv(1), aixtivd(8), aixtiv.toml(5), and docs/options.md."""

import contextlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aixtiv_protocol import VERSION
from aixtivd.config.options import options as daemon_options
from manual import markdown
from manual.commands import COMMON, Described, paragraphs, sections, whole
from manual.roff import Page

ROOT: Final = Path(__file__).parents[2]
DATE: Final = "2026-11-23"  # of the version's last change
_OPTION: Final = re.compile(r" {2}(-\S.*?)(?: {2,}(.*))?$")


def written() -> Mapping[Path, str]:
    """Each file that `make man` writes, and what is in it."""
    return {
        ROOT / "man/aixtiv.1": command_page(),
        ROOT / "man/aixtivd.8": daemon_page(),
        ROOT / "man/aixtiv.toml.5": config_page(),
        ROOT / "docs/options.md": options_page(),
    }


def _doc(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# ---- aixtiv(1)


def command_page() -> str:
    page = Page("aixtiv", 1, VERSION, DATE, "aixtiv's manual")
    page.section("name")
    page.prose("aixtiv - ask the local daemon that owns your OAuth credentials")
    page.section("synopsis")
    page.prose("`aixtiv` COMMAND [OPTIONS] [ARGUMENTS]")
    page.section("description")
    _help(page, whole())
    page.section("options of most commands")
    for names, text in _common():
        page.item(f"`{names}`", text)
    for title, found in sections():
        page.section(title)
        for one in found:
            _command(page, one)
    commands = _doc("commands.md")
    page.section("exit status")
    markdown.write(page, markdown.table(commands, "exit status"))
    page.section("environment")
    markdown.write(page, markdown.table(commands, "name | stands for"))
    page.section("files")
    page.item("`$XDG_RUNTIME_DIR/aixtiv/aixtiv.sock`", "The daemon's socket, where systemd makes that folder.")
    page.item("`~/.local/state/aixtiv/`", "The sealed store, the audit log, and the log of a daemon without a manager.")
    page.item("`~/.config/aixtiv/config.toml`", "The config, `aixtiv.toml`(5), which need not be there.")
    page.item("`.aixtiv.toml`", 'The account that is meant in that folder and below it: `account = "NAME"`.')
    _see(page, "`aixtivd`(8), `aixtiv.toml`(5)")
    return page.text()


def _common() -> list[tuple[str, str]]:
    """Said once: what they are, as a command that has them all says it."""
    status = next(one for _, found in sections() for one in found if one.path == "aixtiv status")
    return [option for option in status.options if option[0] in COMMON]


def _command(page: Page, one: Described) -> None:
    options = [(names, text) for names, text in one.options if names not in COMMON]
    usage = one.usage if options or one.usage != "[OPTIONS]" else ""
    page.below(f"`{one.path}` {usage}".rstrip())
    _help(page, one)
    for names, text in options:
        page.item(f"`{names}`", text)


def _help(page: Page, one: Described) -> None:
    for literal, lines in paragraphs(one.help):
        if literal:
            page.literal(lines)
        elif not lines[0].startswith("Exit status:"):  # which has a section of its own
            page.paragraph(" ".join(lines))


def _see(page: Page, others: str) -> None:
    page.section("see also")
    page.prose(others)


# ---- aixtivd(8)


def daemon_page() -> str:
    page = Page("aixtivd", 8, VERSION, DATE, "aixtiv's manual")
    usage, text, options = _daemon_help()
    page.section("name")
    page.prose("aixtivd - the daemon that owns your OAuth credentials")
    page.section("synopsis")
    page.prose(usage.replace("aixtivd", "`aixtivd`", 1))
    page.section("description")
    page.paragraph(text)
    page.paragraph(
        "One runs for one person. It signs in, keeps the tokens sealed, refreshes them before they expire, and hands"
        " them out over a Unix socket that is that person's alone. Nobody has to start it: the first `aixtiv` does, or"
        " the service manager (`aixtiv service install`)."
    )
    page.section("options")
    for names, told in options:
        page.item(f"`{names}`", told)
    page.section("signals")
    page.item("`SIGTERM`, `SIGINT`", "Lets open refreshes finish, and ends.")
    page.item("`SIGHUP`", "Reads the config again, all of it or nothing, as `aixtiv reload` does.")
    page.item("`SIGUSR1`", "Locks the vault, as `aixtiv lock` does.")
    page.section("environment")
    page.item("`AIXTIV_SOCKET`", "The socket's path.")
    page.item(
        "`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`", "Sockets that systemd hands over, named `aixtiv` and `claude`."
    )
    page.item(
        "`CREDENTIALS_DIRECTORY`", "Where systemd puts the credential `aixtiv.key`, which then is the vault's key."
    )
    page.section("exit status")
    page.item("`0`", "It ended because it was told to.")
    page.item("`64`", "Wrong usage.")
    page.item("another", "It could not start, or go on; the last line on stderr says why.")
    page.section("files")
    markdown.write(page, markdown.table(_doc("config.md"), "system"))
    _see(page, "`aixtiv`(1), `aixtiv.toml`(5)")
    return page.text()


def _daemon_help() -> tuple[str, str, list[tuple[str, str]]]:
    """Usage, description and options, as `aixtivd --help` prints them."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "300"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            daemon_options(["--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    usage, text, listed = out.getvalue().strip().split("\n\n")
    found = (_OPTION.fullmatch(line) for line in listed.splitlines()[1:])
    return usage.removeprefix("usage: "), text, [(one[1], one[2] or "how much is logged") for one in found if one]


# ---- aixtiv.toml(5)


def config_page() -> str:
    page = Page("aixtiv.toml", 5, VERSION, DATE, "aixtiv's manual")
    page.section("name")
    page.prose("aixtiv.toml - the config file of aixtiv, named config.toml")
    page.section("description")
    markdown.write(page, _doc("config.md").partition("\n\n")[2])
    _see(page, "`aixtiv`(1), `aixtivd`(8)")
    return page.text()


# ---- docs/options.md


def options_page() -> str:
    lines = [
        "# Every command and option",
        "",
        "Written by `make man` from what `--help` says; [commands.md](commands.md) tells what programs may rely on.",
    ]
    for title, found in sections():
        lines += ["", f"## {title}"]
        for one in found:
            lines += ["", f"### `{one.path}`", "", *_markdown(one)]
    return "\n".join(lines) + "\n"


def _markdown(one: Described) -> list[str]:
    lines = ["```", f"{one.path} {one.usage}".rstrip(), "```", ""]
    for literal, text in paragraphs(one.help):
        lines += [*(["```", *text, "```"] if literal else [" ".join(text)]), ""]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in one.options]
    return [*lines, "| option | |", "| --- | --- |", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
