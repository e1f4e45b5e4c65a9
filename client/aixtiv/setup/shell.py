"""The lines that tell a shell where the gateway is, and the ticket for it."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs
from msgspec import Struct

from aixtiv.failures import Usage
from aixtiv.setup.goal import Goal, with_lines

FISH: Final = "fish"
KNOWN: Final = ("bash", "zsh", FISH, "sh", "dash", "ash", "ksh", "mksh")


class Shell(Struct, frozen=True):
    name: str  # bash, zsh, fish, or whatever $SHELL ends in
    profile: Path  # what it reads at each start


def mine(environ: Mapping[str, str], home: Path) -> Shell:
    name = Path(environ.get("SHELL", "")).name or "sh"
    if name == FISH:
        return Shell(name, Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish/config.fish")
    if name == "zsh":
        return Shell(name, Path(environ.get("ZDOTDIR") or home) / ".zshrc")
    if name == "bash":
        return Shell(name, home / (".bash_profile" if sys.platform == "darwin" else ".bashrc"))
    return Shell(name, home / ".profile")


def check(shell: Shell) -> None:
    """Raises Usage for one whose language is another."""
    if shell.name not in KNOWN:
        sentence = f"the lines can be written for {', '.join(KNOWN)}; SHELL says {shell.name}"
        raise Usage(sentence, hint="aixtiv setup sdk-profile")


def lines(shell: Shell, port: int, ticket: str) -> str:
    values = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "ANTHROPIC_AUTH_TOKEN": ticket}
    form = "set -gx {} {}" if shell.name == FISH else "export {}={}"
    return "\n".join(form.format(name, shlex.quote(value)) for name, value in values.items())


def goals(shell: Shell, file: Path, port: int, ticket: str) -> tuple[Goal, ...]:
    """The lines in a file that only its owner can read, which a profile is not, and one line there that reads it."""
    quoted = shlex.quote(str(file))
    if shell.name == FISH:
        line = f"test -r {quoted}; and source {quoted}"
    else:
        line = f"if [ -r {quoted} ]; then . {quoted}; fi"
    text = f"# made by `aixtiv setup env`; `aixtiv setup env --undo` takes it away\n{lines(shell, port, ticket)}\n"
    return (
        Goal(file, "whole", lambda _: text, mode=0o600),
        Goal(shell.profile, "lines", lambda profile: with_lines(profile, line)),
    )


def file(shell: Shell) -> Path:
    """In the folder of our own config."""
    return Path(platformdirs.user_config_dir("aixtiv")) / f"claude-env.{FISH if shell.name == FISH else 'sh'}"
