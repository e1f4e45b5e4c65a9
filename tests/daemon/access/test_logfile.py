"""One file of the audit log on a disk that fails: what could not be made durable is not there later either."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from aixtivd.access.logfile import LogFile
from aixtivd.vault import folder as folders

ONE, TWO = b'{"number":1}\n', b'{"number":2}\n'


def failing(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("where", ["aixtivd.access.logfile.settle", "aixtivd.vault.folder.sync"])
def test_what_a_failed_write_left_is_cut_before_the_next_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    file = LogFile(folder / "audit.log")
    with monkeypatch.context() as broken:
        broken.setattr(where, failing)
        broken.setattr(os, "ftruncate", failing)
        with pytest.raises(OSError, match="Input/output error"):
            file.append(ONE)
        assert file.path.read_bytes() == ONE  # it could not be taken back either
        with pytest.raises(OSError, match="Input/output error"):
            file.append(ONE)
    assert file.append(ONE) == 0
    assert file.append(TWO) == len(ONE)
    assert file.path.read_bytes() == ONE + TWO


def test_what_somebody_else_wrote_there_is_not_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LogFile(folder / "audit.log")
    with monkeypatch.context() as broken:
        broken.setattr(folders, "sync", failing)
        with pytest.raises(OSError, match="Input/output error"):
            file.append(ONE)
    file.path.write_bytes(TWO)
    assert file.append(ONE) == len(TWO)
    assert file.path.read_bytes() == TWO + ONE


def test_a_name_that_could_not_be_made_durable_is_made_so_with_the_next_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, settled = LogFile(folder / "audit.log"), list[Path]()
    with monkeypatch.context() as broken:
        broken.setattr("aixtivd.access.logfile.settle", failing)
        with pytest.raises(OSError, match="Input/output error"):
            file.append(ONE)
    monkeypatch.setattr("aixtivd.access.logfile.settle", settled.append)
    file.append(ONE)
    file.append(TWO)
    assert settled == [folder]
