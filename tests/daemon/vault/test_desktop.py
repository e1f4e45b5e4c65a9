"""The real thing: GNOME's key store on a session bus of its own, unlocked, locked, and not there."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from peers.presence import command

PROGRAM: Final = """
import asyncio, os, sys, time
from pathlib import Path
from aixtivd.clock import SystemClock
from aixtivd.config import VaultConfig
from aixtivd.vault.rows import Row
from aixtivd.vault.vault import Vault

async def main():
    vault = Vault(Path(sys.argv[1]), VaultConfig(key=sys.argv[2]), SystemClock())
    await vault.open()
    print("locked" if vault.locked else "open", vault.key_source, vault.lock_reason or vault.key_reason, sep="; ")
    if not vault.locked:
        print(len(await vault.rows()))
        await vault.journal.commit(Row(os.urandom(16), 1, b"payload"), None)
    await vault.aclose()

asyncio.run(main())
"""

WITH_PASSWORD: Final = "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null; "
ON_THE_BUS_ONLY: Final = ""  # the bus starts the key store when it is asked for, and nobody can unlock it


@pytest.fixture
def home(folder: Path) -> Path:
    """A person's home and runtime folder, in which the key store keeps its file."""
    command("dbus-run-session", package="dbus")
    command("gnome-keyring-daemon", package="gnome-keyring")
    (folder / "run").mkdir(mode=0o700)
    return folder


def in_a_session(home: Path, first: str, key: str = "auto") -> list[str]:
    """What the program prints in a new session, as after a new login."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "XDG_DATA_HOME": str(home / "data")}
    script = f'{first}exec "$0" -c "$1" "$2" "$3"'
    session = ["dbus-run-session", "--", "sh", "-c", script, sys.executable, PROGRAM, str(home / "vault"), key]
    ran = subprocess.run(session, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_an_unlocked_key_store_keeps_the_key_from_one_login_to_the_next(home: Path) -> None:
    reason = "auto: no systemd credential; the desktop key store answered"
    assert in_a_session(home, WITH_PASSWORD) == [f"open; keyring; {reason}", "0"]
    assert in_a_session(home, WITH_PASSWORD) == [f"open; keyring; {reason}", "1"]
    assert not (home / "vault" / "key").exists()


def test_a_locked_key_store_leaves_its_vault_locked_and_soon(home: Path) -> None:
    in_a_session(home, WITH_PASSWORD)
    started = time.monotonic()
    (said,) = in_a_session(home, ON_THE_BUS_ONLY)
    assert said in {
        "locked; keyring; the desktop key store is locked",
        "locked; keyring; the desktop key store did not answer within 2 seconds; it may be waiting for a person",
    }
    assert time.monotonic() - started < 20
    assert in_a_session(home, WITH_PASSWORD)[1] == "1"


def test_auto_takes_a_key_file_where_the_key_store_cannot_be_unlocked(home: Path) -> None:
    said = in_a_session(home, ON_THE_BUS_ONLY)[0]
    assert said.startswith("open; file; auto: no systemd credential; the desktop key store ")
    assert in_a_session(home, WITH_PASSWORD)[0] == said  # and keeps to it though one could be had now


def test_asked_for_by_name_it_is_that_or_nothing(home: Path) -> None:
    (said,) = in_a_session(home, ON_THE_BUS_ONLY, "keyring")
    assert said.startswith("locked; keyring; the desktop key store ")
    assert in_a_session(home, WITH_PASSWORD, "keyring") == [
        'open; keyring; the config says key = "keyring"',
        "0",
    ]
