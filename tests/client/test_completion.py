"""What TAB does in the real shells: bash and zsh in a terminal, fish by its own `complete -C`."""

import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click
import pytest

from aixtiv.commands import COMMANDS, aixtiv
from aixtiv.completing import PROVIDERS
from aixtiv_protocol import replies, requests
from aixtivd.oauth import providers
from peers import presence
from peers.commanded import run
from peers.scripted import Said, ScriptedDaemon
from peers.terminal import Terminal

SCRIPTS: Final = sysconfig.get_path("scripts")
ACCOUNTS: Final = tuple(
    replies.Account(name=name, provider="x", kind="oauth", state="fresh") for name in ("anthropic/work", "github-ada")
)
TICKETS: Final = (replies.TicketShown(id="0a1b2c3d", account="anthropic/work", verbs=("relay",), name="nightly"),)
READY: Final = "ready> "


def script(request: requests.Request) -> Iterable[Said]:
    if isinstance(request, requests.Tickets):
        return (replies.TicketList(tickets=TICKETS),)
    return (replies.AccountList(accounts=ACCOUNTS),)


def environ(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "PATH": f"{SCRIPTS}:/usr/bin:/bin",
        "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock"),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }


def shell(name: str) -> str:
    return presence.command(name, package=name)


def installed(folder: Path, name: str) -> Path:
    ran = run(folder, "completion", name, "--install")
    assert ran.returncode == 0, ran.stderr
    return Path(ran.stdout.removeprefix("written: ").strip().replace("~", str(folder)))


def bash(folder: Path) -> Terminal:
    file = installed(folder, "bash")
    (folder / ".bashrc").write_text(f"PS1='{READY}'; bind 'set bell-style none'\n. {file}\n")
    return Terminal([shell("bash"), "-i"], environ(folder), folder)


def zsh(folder: Path) -> Terminal:
    file = installed(folder, "zsh")
    rc = f"fpath=({file.parent} $fpath); autoload -Uz compinit; compinit -u\nunsetopt prompt_sp\nPS1='{READY}'\n"
    (folder / ".zshrc").write_text(rc)
    return Terminal([shell("zsh"), "-i"], environ(folder), folder)


def offered(folder: Path, line: str) -> list[str]:
    """By fish."""
    installed(folder, "fish")
    command = [shell("fish"), "-c", f"complete -C {line!r}"]
    ran = subprocess.run(
        command, env=environ(folder), cwd=folder, capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stderr == ""
    return [found.split("\t")[0] for found in ran.stdout.splitlines()]


TYPED: Final = {
    "aixtiv whoa": "mi",
    "aixtiv api-key re": "move",
    "aixtiv token --min": "-ttl",
    "aixtiv token anth": "ropic/work",
    "aixtiv audit --account git": "hub-ada",
    "aixtiv ticket revoke 0a": "1b2c3d",
    "aixtiv login -p mic": "rosoft",
    "aixtiv restore back": "up.aixtiv",
    "aixtiv claude code generate -o back": "up.aixtiv",
}


@pytest.mark.parametrize("begin", [bash, zsh])
def test_a_tab_completes_the_word(folder: Path, begin: Callable[[Path], Terminal]) -> None:
    (folder / "backup.aixtiv").touch()
    with ScriptedDaemon(folder, script), begin(folder) as person:
        person.until(READY)
        for typed, there in TYPED.items():
            person.type(f"{typed}\t")
            person.until(typed)
            person.until(there)
            person.type("\x15")  # and the line is taken back


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("aixtiv stat", ["status"]),
        ("aixtiv token ", ["anthropic/work", "github-ada"]),
        ("aixtiv login git", ["github-ada", "github", "gitlab"]),
        ("aixtiv ticket revoke ", ["0a1b2c3d", "nightly"]),
        ("aixtiv key move --to ", ["keyring", "passphrase", "systemd", "file"]),
        ("aixtiv export ba", ["backup.aixtiv"]),
    ],
)
def test_fish_offers_the_same(folder: Path, line: str, words: list[str]) -> None:
    (folder / "backup.aixtiv").touch()
    with ScriptedDaemon(folder, script):
        assert sorted(offered(folder, line)) == sorted(words)


def completed(folder: Path, words: str) -> subprocess.CompletedProcess[str]:
    """Without a shell: what its script asks."""
    return run(
        folder, _AIXTIV_COMPLETE="bash_complete", COMP_WORDS=words.replace(" ", "\n"), COMP_CWORD=str(words.count(" "))
    )


def test_without_a_daemon_nothing_is_offered_nothing_said_and_none_is_started(folder: Path) -> None:
    ran = completed(folder, "aixtiv token ")
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("", "", 0)
    assert list(folder.iterdir()) == []


def test_a_daemon_that_says_no_is_no_trouble(folder: Path) -> None:
    locked = replies.Failure(code="locked", message="the vault is locked", hint="aixtiv unlock")
    with ScriptedDaemon(folder, lambda request: (locked,)):
        ran = completed(folder, "aixtiv token ")
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("", "", 0)


def test_a_daemon_that_hangs_keeps_nobody_waiting(folder: Path) -> None:
    """It hangs for as long as the test waits, so that only the command's own patience can end it."""
    hanging = threading.Event()

    def hang(request: requests.Request) -> Iterable[Said]:
        hanging.wait(30)
        return ()

    with ScriptedDaemon(folder, hang):
        ran = completed(folder, "aixtiv login git")
        hanging.set()
    assert ran.stdout.split() == ["plain,github", "plain,gitlab"]
    assert ran.stderr == ""


def test_what_git_asks_a_helper_is_offered(folder: Path) -> None:
    assert completed(folder, "aixtiv git-credential ").stdout.split() == ["plain,get", "plain,store", "plain,erase"]


def test_what_was_typed_wrong_is_no_trouble_either(folder: Path) -> None:
    for words in ("aixtiv nonsense ", "aixtiv token sk-ant-api03-x ", "aixtiv token --wait x ", "aixtiv 'unclosed "):
        assert completed(folder, words).stderr == ""


def test_the_providers_are_those_the_daemon_knows() -> None:
    assert set(PROVIDERS) == set(providers.READY)


def every(command: click.Command, path: str) -> Iterable[tuple[str, click.Parameter]]:
    yield from ((path, param) for param in command.params)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below
            yield from every(below, f"{path} {name}")


def test_whatever_names_an_account_a_ticket_or_a_file_is_completed() -> None:
    """So that who adds an option is told of it."""
    kinds = {"account", "identity_account", "which", "provider"}
    left = [
        f"{path} {param.name}"
        for path, param in every(aixtiv, "aixtiv")
        if (param.name in kinds and param._custom_shell_complete is None)
        or (param.metavar == "FILE" and not isinstance(param.type, click.Path))
    ]
    assert left == []


# ---- the command


def test_installed_is_what_is_printed_and_a_second_time_changes_nothing(folder: Path) -> None:
    for name in ("bash", "zsh", "fish"):
        file = installed(folder, name)
        assert file.read_text() == run(folder, "completion", name).stdout
        assert file.stat().st_mode & 0o777 == 0o644
        before = file.stat()
        again = run(folder, "completion", name, "--install")
        assert again.stdout.startswith("it is there already: ~/")
        assert "delete that file to undo it" in again.stderr
        missing = name == "zsh" or "bash-completion, which is not here" in again.stderr
        assert ("that is started from now on has it" in again.stderr) is not missing
        assert file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("name", "variables", "place"),
    [
        ("bash", {}, ".local/share/bash-completion/completions/aixtiv"),
        ("bash", {"XDG_DATA_HOME": "{}/data"}, "data/bash-completion/completions/aixtiv"),
        ("bash", {"BASH_COMPLETION_USER_DIR": "{}/own"}, "own/completions/aixtiv"),
        ("zsh", {}, ".local/share/zsh/site-functions/_aixtiv"),
        ("fish", {}, ".config/fish/completions/aixtiv.fish"),
        ("fish", {"XDG_CONFIG_HOME": "{}/config"}, "config/fish/completions/aixtiv.fish"),
    ],
)
def test_each_shell_has_its_place(folder: Path, name: str, variables: dict[str, str], place: str) -> None:
    told = {variable: value.format(folder) for variable, value in variables.items()}
    ran = run(folder, "completion", name, "--install", **told)
    assert (folder / place).is_file(), ran.stderr


def test_a_file_that_is_not_ours_stays(folder: Path) -> None:
    theirs = folder / ".config/fish/completions/aixtiv.fish"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("complete -c aixtiv -a mine\n")
    ran = run(folder, "completion", "fish", "--install")
    assert (ran.returncode, theirs.read_text()) == (1, "complete -c aixtiv -a mine\n")
    assert "was not written by aixtiv, and stays as it is" in ran.stderr


def test_the_shell_is_that_of_the_person_where_none_is_named(folder: Path) -> None:
    assert run(folder, "completion", SHELL="/usr/bin/fish").stdout == run(folder, "completion", "fish").stdout
    for other in ({"SHELL": "/bin/tcsh"}, {}):
        ran = run(folder, "completion", **other)
        assert (ran.returncode, ran.stdout) == (64, "")
        assert ran.stderr.endswith("aixtiv: hint: aixtiv completion bash\n")


def test_commands_are_offered_in_the_order_of_the_help_and_old_names_are_not(folder: Path) -> None:
    lines = completed(folder, "aixtiv ").stdout.split()
    assert lines == [f"plain,{name}" for section in COMMANDS.values() for name in section]
