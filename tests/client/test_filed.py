"""A file that somebody else may have made: read whole, or refused with a sentence; it neither hangs nor ends us."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv import filed
from aixtiv.filed import DEPTH, EVERYBODY, GROUP, LIMIT, Misread


def text(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 << 20)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (os.mkfifo, "is not a plain file"),
    "a folder": (Path.mkdir, "is not a plain file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is not a plain file"),
    "a link in a circle": (lambda path: path.symlink_to(path), "cannot be read"),
    "300 MB": (sparse, "is longer than such a file can be"),
    "deeper than the stack": (text(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "is nested too deeply"),
    "almost as deep as the stack": (text(b'{"a":' * 900 + b"1" + b"}" * 900), "is nested too deeply"),
    "deep lists, cut off": (text(b"[" * 100_000), "is nested too deeply"),
    "UTF-16": (text('{"a": 1}'.encode("utf-16")), "is not JSON"),
    "bytes that are no text": (text(b'{"a": "\xff"}'), "is not JSON"),
    "a number without an end": (text(b"9" * 100_000), "is not JSON"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_a_file_is_it_is_read_or_refused_with_a_sentence(tmp_path: Path, what: str) -> None:
    make, sentence = HOSTILE[what]
    path = tmp_path / "it.json"
    make(path)
    with pytest.raises(Misread, match=sentence) as raised:
        filed.tree(path)
    assert str(path) in raised.value.sentence
    assert str(path) in raised.value.hint


@pytest.mark.parametrize(("mode", "forbidden"), [(0o602, EVERYBODY), (0o620, EVERYBODY | GROUP)])
def test_what_others_can_write_is_refused(tmp_path: Path, mode: int, forbidden: int) -> None:
    path = tmp_path / "it.json"
    path.write_text("{}")
    path.chmod(mode)
    with pytest.raises(Misread, match=f"can be written by others .mode 0{mode:o}"):
        filed.tree(path, forbidden=forbidden)


def test_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it.json"
    path.write_text("{}")
    us = path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: us + 1)
    if us == 0:  # root's files are anybody's
        os.chown(path, 4711, -1)
    with pytest.raises(Misread, match="belongs to another user"):
        filed.tree(path)


def test_what_is_not_there_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file/none"):
        with pytest.raises(FileNotFoundError):
            filed.tree(path)


def test_a_file_as_long_and_as_deep_as_one_may_be_is_read(tmp_path: Path) -> None:
    deep = b"[" * (DEPTH - 1) + b"1" + b"]" * (DEPTH - 1)
    path = tmp_path / "it.json"
    path.write_bytes(b"\xef\xbb\xbf" + deep + b" " * (LIMIT - len(deep) - 3))
    (tmp_path / "link.json").symlink_to(path)  # as those who keep their dotfiles elsewhere have it
    assert filed.tree(tmp_path / "link.json")
