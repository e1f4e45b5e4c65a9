"""Which of the sockets handed over is ours."""

import os
import socket
import sys
from pathlib import Path

import pytest

from aixtivd.errors import SocketFailed
from aixtivd.host import activation, systemd

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there launchd is asked")


@pytest.fixture
def listening(folder: Path) -> list[int]:
    """Descriptors of three listening sockets, which the test gives away."""
    made: list[int] = []
    for name in "abc":
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(folder / name))
        one.listen()
        made.append(one.detach())
    return made


def hand_over(monkeypatch: pytest.MonkeyPatch, *handed: tuple[str, int]) -> None:
    monkeypatch.setattr(systemd, "handed_over", lambda environ, pid: handed)


@pytest.mark.parametrize("names", [("claude", "aixtiv", "x"), ("aixtiv", "", "")])
def test_the_one_with_our_name_is_taken_and_the_others_closed(
    monkeypatch: pytest.MonkeyPatch, listening: list[int], names: tuple[str, ...]
) -> None:
    hand_over(monkeypatch, *zip(names, listening, strict=True))
    ours = listening[names.index("aixtiv")]
    with activation.main_socket({}, os.getpid()) or socket.socket() as taken:
        assert taken.fileno() == ours
        for fd in listening:
            if fd != ours:
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(fd)


def test_a_lone_one_is_ours_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch, listening: list[int]) -> None:
    """`systemd-socket-activate` gives no name unless told."""
    hand_over(monkeypatch, ("unknown", listening[0]))
    with activation.main_socket({}, os.getpid()) or socket.socket() as taken:
        assert taken.fileno() == listening[0]
    for fd in listening[1:]:
        os.close(fd)


def test_of_several_without_our_name_none_is_guessed(monkeypatch: pytest.MonkeyPatch, listening: list[int]) -> None:
    hand_over(monkeypatch, ("a", listening[0]), ("b", listening[1]))
    with pytest.raises(SocketFailed, match="2 sockets, and not one named aixtiv"):
        activation.main_socket({}, os.getpid())
    for fd in listening:
        os.close(fd)


def test_what_is_no_socket_is_a_sentence(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    hand_over(monkeypatch, ("aixtiv", fd))
    with pytest.raises(SocketFailed, match="is not a socket"):
        activation.main_socket({}, os.getpid())
    os.close(fd)


def test_without_a_service_manager_there_is_none() -> None:
    assert activation.main_socket({}, os.getpid()) is None
