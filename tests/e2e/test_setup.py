"""`aixtiv setup` on a real machine: done, used as the tool would use it, undone, and the home as it was."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.claude_api.process import sent
from peers.desk import Desk, desk
from peers.machine import SCRIPTS
from peers.ports import free_port, usual_port
from peers.setups import AIXTIV, SETTINGS, ask, claude_settings, home, port_of, setup, tickets
from peers.terminal import Terminal


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with desk(folder, configured="# mine\n") as at:
        at.sign_in()
        yield at


# ---- Claude Code


def test_claude_codes_settings_are_written_used_and_taken_back_to_the_byte(at: Desk) -> None:
    path = claude_settings(at)
    path.chmod(0o640)
    before = home(at.machine)
    port = free_port()
    setup(at, "claude-code", "--port", str(port))
    assert path.read_text() == SETTINGS.replace(
        '"A": "1"}\n',
        f'"A": "1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:{port}"}},\n    "apiKeyHelper": "{AIXTIV} claude-key"\n',
    )
    assert at.machine.config.read_text().endswith(f"# mine\n\n[claude]\nport = {port}\n")
    settings = json.loads(path.read_text())
    helped = subprocess.run(
        settings["apiKeyHelper"], shell=True, env=at.machine.environ, capture_output=True, text=True, check=True
    )
    status, answer = ask(settings["env"]["ANTHROPIC_BASE_URL"], helped.stdout.strip())
    assert (status, answer["content"][0]["text"]) == (200, "You said: hello")
    assert sent(at.claude.requests[-1], "authorization") == f"Bearer {at.server.newest}"

    setup(at, "claude-code", "--undo")
    assert home(at.machine) == before
    assert port_of(at) == 0


def test_settings_that_were_not_there_are_gone_again_folder_and_all(at: Desk) -> None:
    before = home(at.machine)
    setup(at, "claude-code", CLAUDE_CONFIG_DIR=str(at.machine.home / "elsewhere"))
    assert json.loads((at.machine.home / "elsewhere/settings.json").read_text())["apiKeyHelper"]
    setup(at, "claude-code", "--undo")
    assert home(at.machine) == before


def test_what_the_person_did_in_between_stays(at: Desk) -> None:
    path = claude_settings(at)
    setup(at, "claude-code")
    path.write_text(path.read_text().replace('"opus"', '"haiku"'))
    at.machine.config.write_text(at.machine.config.read_text().replace("# mine", "# still mine"))
    ran = setup(at, "claude-code", "--undo")
    assert path.read_text() == SETTINGS.replace("opus", "haiku")
    assert "# still mine" in at.machine.config.read_text()
    assert "port" not in at.machine.config.read_text()
    assert "~/.claude/settings.json was changed since; only what aixtiv had put there was taken out" in ran.err


def test_a_second_time_changes_nothing_and_another_account_changes_only_that(at: Desk) -> None:
    path = claude_settings(at)
    assert at.machine.run("api-key", "set", "anthropic/work", stdin="sk-ant-api03-made-up\n").code == 0
    before = home(at.machine)
    setup(at, "claude-code")
    once = path.read_bytes()
    assert "is set up already" in setup(at, "claude-code").err
    assert path.read_bytes() == once
    setup(at, "claude-code", "--account", "anthropic/work")
    assert json.loads(path.read_text())["apiKeyHelper"] == f"{AIXTIV} claude-key anthropic/work"
    setup(at, "claude-code", "--undo")
    assert home(at.machine) == before


def test_a_key_that_claude_code_would_take_instead_is_told(at: Desk) -> None:
    claude_settings(at, '{"env": {"ANTHROPIC_API_KEY": "sk-ant-api03-hush"}}')
    ran = setup(at, "claude-code")
    assert "ANTHROPIC_API_KEY is set, and Claude Code takes that instead" in ran.err
    assert "hush" not in ran.err


# ---- the SDKs' profile


def test_the_sdks_profile_holds_a_ticket_and_is_taken_back(at: Desk) -> None:
    before = home(at.machine)
    port = free_port()
    setup(at, "sdk-profile", "--port", str(port))
    folder = at.machine.home / ".config/anthropic"
    config, credentials = folder / "configs/aixtiv.json", folder / "credentials/aixtiv.json"
    assert json.loads(config.read_text()) == {
        "version": "1.0",
        "base_url": f"http://127.0.0.1:{port}",
        "authentication": {"type": "user_oauth"},
    }
    said = json.loads(credentials.read_text())
    assert {key: value for key, value in said.items() if key != "access_token"} == {
        "version": "1.0",
        "type": "oauth_token",
    }
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert config.stat().st_mode & 0o022 == 0
    assert ask(f"http://127.0.0.1:{port}", said["access_token"])[0] == 200
    assert tickets(at) == ["setup sdk-profile"]

    at.machine.stop()  # what lasts outlives the daemon
    at.machine.start()
    assert ask(f"http://127.0.0.1:{port}", said["access_token"])[0] == 200

    setup(at, "sdk-profile", "--undo")
    assert home(at.machine) == before
    assert tickets(at) == []


def test_a_ticket_that_was_revoked_is_made_anew(at: Desk) -> None:
    setup(at, "sdk-profile")
    file = at.machine.home / ".config/anthropic/credentials/aixtiv.json"
    first = json.loads(file.read_text())["access_token"]
    assert "is set up already" in setup(at, "sdk-profile").err
    assert at.machine.run("ticket", "revoke", "setup sdk-profile").code == 0
    setup(at, "sdk-profile")
    second = json.loads(file.read_text())["access_token"]
    assert second != first
    assert ask(f"http://127.0.0.1:{port_of(at)}", second)[0] == 200
    assert ask(f"http://127.0.0.1:{port_of(at)}", first)[0] == 401


# ---- the shell


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_shell_evaluates_the_lines(at: Desk, shell: str) -> None:
    lines = f"{AIXTIV} setup env --yes --port {free_port()}"
    script = f'eval "$({lines})"; printf "%s %s" "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN"'
    ran = subprocess.run(
        [shell, "-c", script], env=at.machine.environ | {"SHELL": shell}, capture_output=True, text=True, check=True
    )
    base_url, ticket = ran.stdout.split()
    assert ask(base_url, ticket)[0] == 200
    setup(at, "env", "--undo")
    assert tickets(at) == []


def test_a_second_shell_ends_no_ticket_of_the_first_and_undo_ends_all(at: Desk) -> None:
    before = home(at.machine)
    found = [setup(at, "env", SHELL="/bin/sh") for _ in range(2)]
    found.append(setup(at, "env", "--write", SHELL="/bin/sh"))
    assert "1 earlier ticket of `aixtiv setup env` can still be used" in found[1].err
    assert "hint: aixtiv setup env --write" in found[1].err
    held = [ran.out.split("ANTHROPIC_AUTH_TOKEN=")[1].strip() for ran in found[:2]]
    base_url = f"http://127.0.0.1:{port_of(at)}"
    assert [ask(base_url, ticket)[0] for ticket in held] == [200, 200]
    assert tickets(at) == ["setup env"] * 3
    undone = setup(at, "env", "--undo", SHELL="/bin/sh")
    assert "and every ticket that is named `setup env` is revoked" in undone.err
    assert tickets(at) == []
    assert home(at.machine) == before


def test_a_shell_with_another_language_is_told_so(at: Desk) -> None:
    before = home(at.machine)
    ran = at.machine.run("setup", "env", "--yes", SHELL="/bin/tcsh")
    assert (ran.code, ran.out) == (64, "")
    assert "SHELL says tcsh" in ran.err
    assert (home(at.machine), tickets(at)) == (before, [])


def test_fish_has_its_own_words(at: Desk) -> None:
    lines = setup(at, "env", SHELL="/usr/bin/fish").out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["set", "-gx", "ANTHROPIC_BASE_URL"],
        ["set", "-gx", "ANTHROPIC_AUTH_TOKEN"],
    ]


@pytest.mark.parametrize(
    ("shell", "profile"),
    [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/config.fish"), ("dash", ".profile")],
)
def test_the_lines_go_into_the_shells_profile_and_out_again(at: Desk, shell: str, profile: str) -> None:
    path = at.machine.home / profile
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("alias l=ls # no newline behind")
    path.chmod(0o644)
    before = home(at.machine)
    ran = setup(at, "env", "--write", SHELL=f"/usr/bin/{shell}")
    assert "aixtiv-ticket" not in path.read_text() + ran.out + ran.err.replace("aixtiv-ticket-…", "")
    held = at.machine.config.parent / f"claude-env.{'fish' if shell == 'fish' else 'sh'}"
    assert held.stat().st_mode & 0o777 == 0o600
    if shell == "bash":
        script = f'. {path}; printf "%s %s" "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN"'
        said = subprocess.run(
            ["bash", "-c", script], env=at.machine.environ, capture_output=True, text=True, check=True
        )
        assert ask(*said.stdout.split())[0] == 200
        assert setup(at, "env", SHELL="/usr/bin/bash").out == held.read_text().rstrip() + "\n"
    setup(at, "env", "--undo", SHELL=f"/usr/bin/{shell}")
    assert home(at.machine) == before


# ---- nothing is done unasked, or to what is not understood


def test_in_a_pipe_nothing_is_done_without_a_yes(at: Desk) -> None:
    claude_settings(at)
    before = home(at.machine)
    ran = at.machine.run("setup", "claude-code")
    assert ran.code == 64
    assert "hint: aixtiv setup claude-code --yes" in ran.err
    assert '+    "apiKeyHelper"' in ran.err
    assert home(at.machine) == before


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("env", "--write", "--account", "anthropic"), "aixtiv setup env --write --account anthropic --yes"),
        (("sdk-profile", "--undo"), "aixtiv setup sdk-profile --undo --yes"),
    ],
)
def test_the_hint_says_again_what_was_typed(at: Desk, words: tuple[str, ...], hint: str) -> None:
    setup(at, "sdk-profile")
    ran = at.machine.run("setup", *words, SHELL="/bin/sh")
    assert ran.code == 64
    assert ran.err.endswith(f"hint: {hint}\n")


@pytest.mark.parametrize("name", ["claude-code", "sdk-profile", "env"])
def test_without_the_account_or_while_locked_nothing_is_begun(at: Desk, name: str) -> None:
    before = home(at.machine)
    ran = at.machine.run("setup", name, "--yes", "--account", "anthropic/none", SHELL="/bin/sh")
    assert (ran.code, home(at.machine), port_of(at)) == (1, before, 0)
    assert "there is no account anthropic/none" in ran.err
    assert at.machine.run("lock").code == 0
    ran = at.machine.run("setup", name, "--yes", SHELL="/bin/sh")
    assert (ran.code, home(at.machine), port_of(at)) == (6, before, 0)


def test_a_ticket_that_cannot_be_made_any_more_leaves_no_port(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from aixtiv.client import Client
    from aixtiv.failures import AixtivError
    from aixtiv.setup import work

    def refuse(*_: object) -> tuple[str, str]:
        raise AixtivError("there are 1000 tickets already")

    for name, value in at.machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(work, "_ticket", refuse)
    before = home(at.machine)
    profile = work.Setup("sdk-profile", "it", lambda *_: (), needs_ticket=True)
    with Client(str(at.machine.socket)) as client, pytest.raises(AixtivError, match="1000"):
        work.do(profile, client, lambda *_: True, asked_port=free_port())
    assert (home(at.machine), port_of(at)) == (before, 0)


def test_a_helper_that_has_moved_is_written_anew(at: Desk) -> None:
    path = claude_settings(at)
    setup(at, "claude-code")
    moved = path.read_text()
    code = (
        "import sys; from pathlib import Path; from aixtiv import itself\n"
        "itself.lasting = lambda: Path('/gone/aixtiv')\n"
        "sys.argv = ['aixtiv', 'setup', 'claude-code', '--yes']; from aixtiv.entry import main; main()"
    )
    with usual_port():
        subprocess.run([str(SCRIPTS / "python"), "-c", code], env=at.machine.environ, capture_output=True, check=True)
    assert "/gone/aixtiv" in path.read_text()
    setup(at, "claude-code")
    assert path.read_text() == moved


def test_a_person_is_shown_the_change_and_asked(at: Desk) -> None:
    path = claude_settings(at)
    before = home(at.machine)
    for answer in ("n", "y"):
        command = [AIXTIV, "setup", "claude-code"]
        with usual_port(), Terminal(command, at.machine.environ, at.machine.home) as terminal:
            shown = terminal.until("set up Claude Code? [y/N]: ")
            assert "+++ ~/.claude/settings.json" in shown
            assert "+port = " in shown
            terminal.type(f"{answer}\r")
            assert terminal.ended() == 0
        assert (home(at.machine) == before) is (answer == "n")
    assert "apiKeyHelper" in path.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  "a": 1\n  "b": 2\n}\n', "~/.claude/settings.json: line 3: "),
        ("[]", "it is not an object"),
        ('{"env": 1}', "env is not an object"),
    ],
)
def test_broken_settings_are_refused_with_file_and_line(at: Desk, text: str, words: str) -> None:
    claude_settings(at, text)
    before = home(at.machine)
    ran = at.machine.run("setup", "claude-code", "--yes")
    assert (ran.code, home(at.machine)) == (1, before)
    assert words in ran.err


def test_a_link_is_refused(at: Desk) -> None:
    path = claude_settings(at)
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")
    ran = at.machine.run("setup", "claude-code", "--yes")
    assert ran.code == 1
    assert "settings.json is a link" in ran.err
    assert path.with_name("real.json").read_text() == SETTINGS


def test_undoing_what_was_never_done_does_nothing(at: Desk) -> None:
    before = home(at.machine)
    assert "nothing was changed" in setup(at, "sdk-profile", "--undo").err
    assert home(at.machine) == before


def test_a_setup_that_was_killed_is_undone(at: Desk) -> None:
    """Killed at each write in turn: whatever was there by then goes again."""
    claude_settings(at)
    before = home(at.machine)
    for write in range(8):
        code = (
            "import itertools, os, sys; from aixtiv.setup import files; real = files.write; count = itertools.count()\n"
            f"def write(*given, **named):\n    real(*given, **named)\n    next(count) == {write} and os._exit(9)\n"
            "files.write = write; sys.argv = ['aixtiv', 'setup', 'sdk-profile', '--yes']\n"
            "from aixtiv.entry import main; main()"
        )
        subprocess.run(
            [str(SCRIPTS / "python"), "-c", code],
            env=at.machine.environ,
            cwd=at.machine.home,
            capture_output=True,
            check=False,
        )
        setup(at, "sdk-profile", "--undo")
        assert home(at.machine) == before, f"killed behind write {write}"
        assert tickets(at) == []


def test_the_helper_of_a_path_with_blanks_is_quoted() -> None:
    from aixtiv.setup import claude_code

    (goal,) = claude_code.goals({}, Path("/home/me"), Path("/my bin/aixtiv"), "a b", 1)
    helper = json.loads(goal.edit(""))["apiKeyHelper"]
    assert shlex.split(helper) == ["/my bin/aixtiv", "claude-key", "a b"]
