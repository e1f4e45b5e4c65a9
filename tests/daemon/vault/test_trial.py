"""Whether this aixtivd knows a store, asked while the daemon that it is to replace has it open."""

from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from aixtivd import app
from aixtivd.config.options import Options, options
from aixtivd.paths import paths
from aixtivd.vault import store, trial
from peers.vaults import image, opened


async def test_a_newer_format_is_refused_and_nothing_is_touched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = msgspec.structs.replace(await anyio.to_thread.run_sync(paths), state=folder)
    asked = Options(trial="store")
    assert await anyio.to_thread.run_sync(trial.of, where, asked) == 0, "there is none yet"
    async with opened(folder):
        before = image(folder)
        assert await anyio.to_thread.run_sync(trial.of, where, asked) == 0
        known = len(store.MIGRATIONS)
        monkeypatch.setattr(store, "MIGRATIONS", store.MIGRATIONS[:-1])
        assert await anyio.to_thread.run_sync(trial.of, where, asked) == 1
        assert image(folder) == before
    assert capsys.readouterr().err == (
        f"aixtivd: error: the store {folder}/store.db has format {known}, made by a newer aixtiv; this one knows"
        f" formats up to {known - 1}\naixtivd: hint: pip install --upgrade aixtiv\n"
    )


def test_what_is_no_store_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = msgspec.structs.replace(paths(), state=folder)
    where.store.write_bytes(b"SQLite")
    assert trial.of(where, options(["--check-store"])) == 1
    assert "is not an aixtiv store" in capsys.readouterr().err


def test_it_is_a_word_of_the_daemons_own_that_help_does_not_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "of", lambda where, asked: {"store": 7}[asked.trial])
    monkeypatch.setattr(app, "harden", lambda: None)
    assert app.run(["--check-store"], None) == 7
    with pytest.raises(SystemExit):
        options(["--help"])
    assert "--check-store" not in capsys.readouterr().out
