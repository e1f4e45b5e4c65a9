"""A defect in a part that runs in the background ends the daemon in order, and shows no text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtivd import app
from aixtivd.accounts.service import Accounts
from aixtivd.vault.vault import Vault
from peers.machine import Machine


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The daemon's whole life in this process, which is not hardened for it."""
    for name, value in Machine(folder).environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "harden", lambda: None)
    return lambda: app.run([], None)


def test_a_part_that_fails_ends_the_daemon_with_the_vault_closed(
    run: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[bool] = []
    close = Vault.aclose

    async def fail(*_: object, **__: object) -> None:
        raise TypeError("a text that quotes hunter2")

    async def aclose(vault: Vault) -> None:
        await close(vault)
        closed.append(vault.locked)

    monkeypatch.setattr(Accounts, "start", fail)
    monkeypatch.setattr(Vault, "aclose", aclose)
    assert run() == 1
    assert closed == [True]
    said = capsys.readouterr().err
    assert "hunter2" not in said
    lines = said.splitlines()
    assert lines[-1] == "aixtivd: error: a defect in aixtiv (TypeError); the line above says where"
    (defect,) = [line for line in map(json.loads, lines[:-1]) if line["event"] == "defect"]
    assert defect["exception"] == "TypeError"
    assert "test_app_defects.py:" in defect["where"]
