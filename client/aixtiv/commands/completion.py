"""`aixtiv completion`: what makes a shell complete the words behind `aixtiv`."""

import os
from pathlib import Path
from typing import Final

import click

from aixtiv import show
from aixtiv.failures import AixtivError, Usage

_VARIABLE: Final = "_AIXTIV_COMPLETE"  # click's, from the command's name; the scripts ask through it
_LOADERS: Final = ("/usr/share/bash-completion/bash_completion", "/opt/homebrew/etc/profile.d/bash_completion.sh")

# In place of click's own end, which completes at the first TAB of a shell that loads it by itself, and at the second
# only registers what it should have called.
_END_OF_ZSH: Final = """\
compdef _aixtiv_completion aixtiv
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _aixtiv_completion "$@"
fi
"""


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")), required=False)
@click.option("--install", "installed", is_flag=True, help="Write it to where that shell looks for it.")
def completion(shell: str | None, installed: bool) -> None:
    """Print the script that completes `aixtiv` in a shell.

    \b
    eval "$(aixtiv completion bash)"   this shell; or zsh
    aixtiv completion fish | source    the same in fish
    aixtiv completion --install        every new shell

    Without SHELL it is the one in $SHELL. Accounts are offered while the daemon runs; it is not started for that.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    shell = shell or _own()
    if installed:
        _install(shell)
    else:
        show.part(_script(shell))


def _own() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in {"bash", "zsh", "fish"}:
        raise Usage("no shell was named, and $SHELL is none that can be completed in", hint="aixtiv completion bash")
    return name


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class  # noqa: PLC0415  # only here

    from aixtiv.commands import aixtiv  # noqa: PLC0415  # which loads this module

    kind = get_completion_class(shell)
    assert kind, shell
    made = kind(aixtiv, {}, "aixtiv", _VARIABLE)
    script = made.source_template % made.source_vars()  # `source()` would first ask bash for its version
    return script.partition("if [[ $zsh_eval_context")[0] + _END_OF_ZSH if shell == "zsh" else script


def _install(shell: str) -> None:
    from aixtiv.setup import files  # noqa: PLC0415  # only here

    path = _place(shell)
    there = files.contents(path)
    if there is not None and _VARIABLE.encode() not in there:
        raise AixtivError(
            f"{show.short(str(path))} was not written by aixtiv, and stays as it is",
            hint=f"cat {show.short(str(path))}",
        )
    script = _script(shell).encode()
    if there != script:
        files.write(path, script, mode=0o644)
    show.result(f"{'it is there already' if there == script else 'written'}: {show.short(str(path))}")
    if not _tell_what_is_missing(shell, path):
        show.note(f"every {shell} that is started from now on has it")
    show.note("delete that file to undo it")


def _place(shell: str) -> Path:
    """Where each shell's own manual says that a person's completions lie; zsh has no such place of its own."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    match shell:
        case "bash":
            own = os.environ.get("BASH_COMPLETION_USER_DIR")
            return Path(own or data / "bash-completion") / "completions/aixtiv"
        case "zsh":
            return data / "zsh/site-functions/_aixtiv"
        case _:
            config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
            return config / "fish/completions/aixtiv.fish"


def _tell_what_is_missing(shell: str, path: Path) -> bool:
    """Whether a line is still to be written by the person, which is then said."""
    if shell == "zsh":
        folder = show.short(str(path.parent))
        show.note("zsh has to be told of that folder, once, in ~/.zshrc and before any `compinit` there")
        show.plain(f"fpath=({folder} $fpath); autoload -Uz compinit; compinit")
        return True
    if shell == "bash" and not any(Path(loader).exists() for loader in _LOADERS):
        show.note("bash reads it through the package bash-completion, which is not here; without that, in ~/.bashrc")
        show.plain(f". {show.short(str(path))}")
        return True
    return False
