"""A defect in a part that runs in the background ends the daemon in order, and shows no text."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup

from aixtivd import app, log
from aixtivd.accounts.service import Accounts
from aixtivd.app import App
from aixtivd.clock import SystemClock
from aixtivd.config import Config
from aixtivd.config.options import Options, read_config
from aixtivd.errors import BadConfig
from aixtivd.host import succession
from aixtivd.host.signals import HEEDED, keep
from aixtivd.host.succession import Successor, Will
from aixtivd.ipc.listener import Listener
from aixtivd.paths import paths
from aixtivd.vault.vault import Vault
from peers.machine import Machine


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A daemon that has ended lets them wait for the next one, which does not come."""
    handlers, blocked = [signal.getsignal(which) for which in HEEDED], signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for which, handler in zip(HEEDED, handlers, strict=True):
        signal.signal(which, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


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


def test_a_config_that_may_not_be_looked_at_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a folder that nobody may enter; a name beyond all bounds needs no folder (and no user who is not root)."""
    named = Path("/tmp") / ("x" * 300)
    where = paths()
    with pytest.raises(BadConfig, match=r"cannot be read: File name too long"):
        read_config(where.config, Options(config=named))

    def forbidden(_: Path) -> bool:
        raise PermissionError(13, "a text that quotes hunter2")

    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(BadConfig, match=r"/secret/config.toml cannot be read: Permission denied"):
        read_config(where.config, Options(config=Path("/secret/config.toml")))


def handed_over_by(run: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Will:
    """What a daemon leaves that is locked by a signal in the very moment in which it goes."""
    left: list[Will] = []
    start, lock = App._start, Vault.lock

    async def started(app_: App, tasks: TaskGroup) -> Listener:
        listener = await start(app_, tasks)
        app_._heir = ("aixtivd",)
        app_._stopping.set()
        return listener

    async def wind_down(app_: App, _: Listener) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        while not app_._lock_signals:
            await anyio.lowlevel.checkpoint()

    def become(heir: Successor, _: object) -> None:
        left.append(heir.will)
        for one in heir.sockets:
            one.socket.close()

    async def slowly(vault: Vault, why: str) -> None:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        await lock(vault, why)

    monkeypatch.setattr(App, "_start", started)
    monkeypatch.setattr(App, "_wind_down", wind_down)
    monkeypatch.setattr(Vault, "lock", slowly)
    monkeypatch.setattr(succession, "become", become)
    assert run() == 0
    return left[0]


def test_a_lock_that_a_signal_asked_for_at_the_very_end_holds_for_the_next_daemon(
    run: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    will = handed_over_by(run, monkeypatch)
    assert will.locked == "a signal asked for it, so it was locked"
    assert will.called == sys.argv[0], "and it is told by which name it was called"


def test_a_signal_that_waited_for_a_daemon_locks_it_before_anybody_is_answered(
    run: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[bool] = []

    async def served(listener: Listener) -> None:
        locked.append(listener._dispatch.opening._accounts.locked)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Listener, "run", served)
    keep()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert run() == 0
    assert locked == [True]


@pytest.mark.parametrize("fails", [PermissionError(13, "hunter2"), TypeError("hunter2")])
async def test_a_reload_that_fails_in_an_unknown_way_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, fails: Exception
) -> None:
    for name, value in Machine(folder).environ.items():
        monkeypatch.setenv(name, value)

    async def fail(_: App) -> str:
        raise fails

    monkeypatch.setattr(App, "reload", fail)
    log.to_stderr("info")
    app_ = App(paths(), Options(), Config(), SystemClock())
    async with anyio.create_task_group() as tasks:
        await tasks.start(app_._heed_signals, tasks)
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        await app_._stopping.wait()
        tasks.cancel_scope.cancel()
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["defect"]
