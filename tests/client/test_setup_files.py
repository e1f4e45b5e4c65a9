"""Files of the person's are replaced whole, in their mode, and never through a link."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv.setup import files
from aixtiv.setup.files import Unfit


def test_a_new_file_and_its_folders_are_private(folder: Path) -> None:
    path = folder / "a/b/settings.json"
    files.write(path, b"{}")
    assert path.read_bytes() == b"{}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(made.stat().st_mode) for made in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664])
def test_a_file_keeps_its_mode(folder: Path, mode: int) -> None:
    path = folder / "settings.json"
    path.write_bytes(b"old")
    path.chmod(mode)
    files.write(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


def test_a_link_is_neither_read_nor_written(folder: Path) -> None:
    target, link = folder / "target", folder / "link"
    target.write_bytes(b"theirs")
    link.symlink_to(target)
    with pytest.raises(Unfit, match="is a link") as refused:
        files.contents(link)
    assert refused.value.hint == f"ls -l {link}"
    with pytest.raises(Unfit, match="is a link"):
        files.write(link, b"ours")
    assert target.read_bytes() == b"theirs"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_fifo_keeps_nobody_waiting_and_a_folder_is_no_file(folder: Path, make: Callable[[Path], object]) -> None:
    path = folder / "it"
    make(path)
    with pytest.raises(Unfit, match="not a plain file"):
        files.contents(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_left_alone(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_bytes(b"theirs")
    os.chown(path, 12345, 12345)
    with pytest.raises(Unfit, match="belongs to another user"):
        files.write(path, b"ours")
    assert path.read_bytes() == b"theirs"


def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing_behind(folder: Path) -> None:
    (folder / "plain").write_bytes(b"")
    with pytest.raises(Unfit, match="cannot be read: not a directory"):
        files.write(folder / "plain/settings.json", b"x")
    assert [each.name for each in folder.iterdir()] == ["plain"]


def test_a_crash_while_writing_leaves_the_old_file_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "settings.json"
    path.write_bytes(b"old")

    def crash(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in folder.iterdir()] == ["settings.json"]


def test_text_that_is_not_utf_8_is_a_sentence(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Unfit, match="is not UTF-8"):
        files.read(path)
