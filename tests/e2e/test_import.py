"""`aixtiv import`, typed and in pipes: an API key, a sign-in of oidc-agent's, and the files they came from."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peers.authority.process import Running, authorization_server
from peers.issuer import SCOPES
from peers.machine import SCRIPTS, Machine
from peers.person import visit
from peers.terminal import Terminal

KEY = "sk-ant-api03-of-a-profile-0123456789"
PROFILE = f"alias ll='ls -l'\nexport ANTHROPIC_API_KEY={KEY}\nexport PATH=/x\n"
GONE = "alias ll='ls -l'\n: # ANTHROPIC_API_KEY=… was here; aixtiv import has sealed it\nexport PATH=/x\n"

# Prints what oidc-agent's own does (4.2.6), without its encryption; the password is `pw`.
FAKE = """\
#!/bin/sh
folder="$HOME/.config/oidc-agent"
case "$1" in
-l) echo "The following account configurations are usable: "; ls "$folder" ;;
-p) if [ -n "$3" ]; then given="$OIDC_ENCRYPTION_PW"
    else printf 'Enter decryption password for account config %s: ' "$2" >&2; read -r given; fi
    [ "$given" = pw ] || { echo "Error: reached maximum number of tries" >&2; exit 1; }
    cat "$folder/$2"; echo ;;
esac
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with authorization_server() as server:
        yield server


@pytest.fixture
def profile(machine: Machine) -> Path:
    path = machine.home / ".bashrc"
    path.write_text(PROFILE)
    return path


def agents(machine: Machine, server: Running, **said: object) -> None:
    """An account `kit` of oidc-agent's, not encrypted yet: its token is the one that another account here has."""
    machine.sign_in(visit, server.login("other"))
    folder = machine.home / ".config/oidc-agent"
    folder.mkdir(parents=True, mode=0o700)
    config: dict[str, object] = {
        "name": "kit",
        "client_name": "oidc-agent:kit-box",
        "issuer_url": f"{server.issuer}/",
        "config_endpoint": "",
        "device_authorization_endpoint": "",
        "daeSetByUser": 0,
        "client_id": "native",
        "client_secret": "",
        "refresh_token": server.families("ada")[-1].live,
        "cert_path": "",
        "scope": "openid offline_access email",
        "audience": "",
        "oauth": 0,
        "redirect_uris": ["http://localhost:4242"],
        "username": "",
        "password": "",
    }
    (folder / "kit").write_text(json.dumps(config | said))


@pytest.fixture
def faked(machine: Machine, folder: Path) -> None:
    """Its command on the PATH, ahead of a real one."""
    command = folder / "bin/oidc-gen"
    command.parent.mkdir()
    command.write_text(FAKE)
    command.chmod(0o755)
    machine.environ["PATH"] = f"{command.parent}:{machine.environ['PATH']}"


def kinds(machine: Machine, *words: str) -> list[tuple[str, str, bool]]:
    found: list[dict[str, Any]] = machine.run("import", "--json", *words).json()["found"]
    return [(one["what"], one["deed"], one["done"]) for one in found]


def test_where_there_is_nothing_that_is_said(machine: Machine) -> None:
    ran = machine.run("import")
    assert (ran.code, ran.out, ran.err) == (0, "nothing was found that aixtiv could take over\n", "")


def test_in_a_pipe_it_says_what_it_would_do_and_does_nothing(machine: Machine, profile: Path) -> None:
    ran = machine.run("import")
    assert ran.code == 64
    assert "~/.bashrc:2 ANTHROPIC_API_KEY" in ran.out
    assert ran.err.endswith("nothing was changed\naixtiv: hint: aixtiv import --yes\n")
    dry = machine.run("import", "environment", "--dry-run", "--yes")
    assert (dry.code, dry.err) == (0, "aixtiv: hint: aixtiv import environment\n")
    assert KEY not in ran.out + ran.err + dry.out
    assert kinds(machine) == [("API key", "seal", False)]
    assert profile.read_text() == PROFILE
    assert machine.run("accounts", "--json").json()["accounts"] == []


def test_with_yes_a_key_is_sealed_and_the_file_stays_until_it_is_to_be_cleaned(machine: Machine, profile: Path) -> None:
    ran = machine.run("import", "--yes")
    assert ran.code == 0
    assert "aixtiv: ~/.bashrc still holds it\naixtiv: hint: aixtiv import --yes --clean\n" in ran.err
    assert profile.read_text() == PROFILE
    assert machine.run("token", "anthropic").out == f"{KEY}\n"

    again = machine.run("import", "--yes", "--clean", "--json").json()
    assert [one["note"] for one in again["found"]] == ["is sealed as anthropic already"]
    assert again["changed"] == [str(profile)]
    assert profile.read_text() == GONE
    spare = machine.home / ".bashrc.before-aixtiv"
    assert spare.read_text() == PROFILE
    assert spare.stat().st_mode & 0o777 == 0o600
    assert kinds(machine, "--yes", "--clean") == []


def test_a_profile_that_is_a_link_is_left_to_its_person(machine: Machine, profile: Path) -> None:
    dotfiles = machine.home / "dotfiles"
    profile.rename(dotfiles)
    profile.symlink_to(dotfiles)
    ran = machine.run("import", "--yes", "--clean")
    assert "~/.bashrc still holds it, where it cannot be taken out without you" in ran.err
    assert dotfiles.read_text() == PROFILE
    assert profile.is_symlink()


@pytest.mark.usefixtures("faked")
def test_typed_each_step_is_asked_for(machine: Machine, server: Running, profile: Path) -> None:
    agents(machine, server)
    with Terminal([str(SCRIPTS / "aixtiv"), "import"], machine.environ, machine.home) as person:
        assert KEY not in person.until("seal the API key of ~/.bashrc:2 ANTHROPIC_API_KEY as anthropic? [Y/n]")
        person.type("\n")
        person.until("take over kit from oidc-agent? [Y/n]")
        person.type("\n")
        person.until("Enter decryption password for account config kit")
        person.type("pw\n")
        person.until("took over kit, signed in as ada@example.test")
        shown = person.until("change ~/.bashrc so (as it was: ~/.bashrc.before-aixtiv)? [y/N]")
        assert "\n-export ANTHROPIC_API_KEY=…\n+: # ANTHROPIC_API_KEY=… was here" in shown
        assert KEY not in shown
        person.type("y\n")
        assert person.ended() == 0
        assert 'aixtiv claude ask "hello"' in person.shown
        assert "aixtiv token anthropic" not in person.shown, "that would show the key"
    assert profile.read_text() == GONE
    assert server.active(machine.token("kit").access_token.reveal(), "native")


def test_typed_no_means_no(machine: Machine, profile: Path) -> None:
    with Terminal([str(SCRIPTS / "aixtiv"), "import"], machine.environ, machine.home) as person:
        person.until("[Y/n]")
        person.type("n\n")
        assert person.ended() == 0
    assert profile.read_text() == PROFILE
    assert machine.run("accounts", "--json").json()["accounts"] == []


@pytest.mark.usefixtures("faked")
def test_a_sign_in_of_oidc_agents_is_taken_over_and_only_once(machine: Machine, server: Running) -> None:
    agents(machine, server)
    unasked = machine.run("import", "--yes", "--json")
    assert (unasked.code, json.loads(unasked.out)["found"][0]["done"]) == (1, False)
    assert "its password is asked for at a terminal, or in OIDC_ENCRYPTION_PW" in unasked.err
    ran = machine.run("import", "--yes", OIDC_ENCRYPTION_PW="pw")
    assert ran.code == 0
    assert "whoever had this refresh token before has it no more" in ran.err
    found = machine.account("kit")
    assert (found.state, found.who, found.scopes) == ("fresh", "ada@example.test", SCOPES), "as the server says"
    assert kinds(machine, "--yes") == [("sign-in kit", "none", False)]
    assert "brought a refresh token from elsewhere" in machine.run("audit", "--account", "kit").out
    token = json.loads((machine.home / ".config/oidc-agent/kit").read_text())["refresh_token"]
    assert token not in machine.log + ran.out + ran.err


@pytest.mark.usefixtures("faked")
def test_one_that_is_over_leaves_nothing_and_the_others_go_on(machine: Machine, server: Running, profile: Path) -> None:
    agents(machine, server, refresh_token="rt-that-nobody-knows")
    ran = machine.run("import", "--yes", OIDC_ENCRYPTION_PW="pw")
    assert ran.code == 1
    assert "refresh token unknown; nothing of it was kept\naixtiv: hint: aixtiv login kit --issuer " in ran.err
    assert sorted(one["name"] for one in machine.run("accounts", "--json").json()["accounts"]) == ["anthropic", "other"]
    assert profile.read_text() == PROFILE


def test_the_real_oidc_agent_is_understood(machine: Machine, server: Running) -> None:
    if shutil.which("oidc-gen") is None:
        assert not os.environ.get("CI"), "oidc-agent-cli has to be there: .ci/run installs it"
        pytest.skip("needs oidc-agent-cli")
    agents(machine, server)
    sealing = machine.environ | {"OIDC_ENCRYPTION_PW": "pw"}
    subprocess.run(["oidc-gen", "-u", "kit", "--pw-env"], env=sealing, check=True, capture_output=True, timeout=30)
    with Terminal([str(SCRIPTS / "aixtiv"), "import", "oidc-agent"], machine.environ, machine.home) as person:
        person.until("take over kit from oidc-agent? [Y/n]")
        person.type("\n")
        person.until("Enter decryption password for account config")
        person.type("pw\n")
        person.until("took over kit, signed in as ada@example.test")
        assert person.ended() == 0
    assert server.active(machine.token("kit").access_token.reveal(), "native")


def test_client_settings_of_a_profile_lead_to_a_sign_in_where_its_person_says_so(
    machine: Machine, server: Running
) -> None:
    (machine.home / ".profile").write_text(
        f"export WORK_OAUTH_CLIENT_ID=basic WORK_OAUTH_CLIENT_SECRET={shlex.quote(server.secret)}\n"
        f"export WORK_OAUTH_AUTH_ENDPOINT={server.issuer}/authorize WORK_OAUTH_TOKEN_ENDPOINT={server.issuer}/token\n"
        "export WORK_OAUTH_REDIRECT_URI=http://localhost/callback\n"
    )
    environ = machine.environ | {"BROWSER": machine.browser()}
    with Terminal([str(SCRIPTS / "aixtiv"), "import"], environ, machine.home) as person:
        assert server.secret not in person.until("sign in to work now? [y/N]")
        person.type("y\n")
        visit(machine.opened())
        person.until("signed in to work")
        assert person.ended() == 0
        assert "aixtiv token work" in person.shown
    assert server.active(machine.token("work").access_token.reveal())


def test_without_a_folder_of_its_own_oidc_agent_is_not_asked(machine: Machine, folder: Path, faked: None) -> None:
    assert kinds(machine) == []
    assert not (machine.home / ".config/oidc-agent").exists()
    assert not (machine.home / ".oidc-agent").exists()
