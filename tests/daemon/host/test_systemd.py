"""What systemd says is taken for ourselves only, and what it wants to hear arrives."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixtivd.host.systemd import Notifier, handed_over

PID = 4711


@pytest.fixture
def no_inheritance(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers that were taken: in this process they may be anything."""
    taken: list[int] = []
    monkeypatch.setattr(os, "set_inheritable", lambda fd, flag: taken.append(fd) if not flag else None)
    return taken


@pytest.mark.parametrize(
    ("environ", "handed"),
    [
        ({}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "1"}, (("", 3),)),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "aixtiv"}, (("aixtiv", 3),)),
        (
            {"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "claude:aixtiv"},
            (("claude", 3), ("aixtiv", 4)),
        ),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "aixtiv"}, (("aixtiv", 3), ("", 4))),
        ({"LISTEN_PID": "4712", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "aixtiv"}, ()),
        ({"LISTEN_PID": "", "LISTEN_FDS": "1"}, ()),
        ({"LISTEN_FDS": "1"}, ()),
        ({"LISTEN_PID": "4711"}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "0"}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "-1"}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "many"}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "1000000"}, ()),
        ({"LISTEN_PID": "4711", "LISTEN_FDS": "65", "LISTEN_FDNAMES": "aixtiv"}, ()),
        (
            {"LISTEN_PID": "4711", "LISTEN_FDS": "1003", "LISTEN_FDNAMES": ":".join(["ticket"] * 1003)},
            tuple(("ticket", fd) for fd in range(3, 1006)),
        ),
    ],
)
def test_sockets_are_taken_only_if_they_were_meant_for_this_process(
    environ: dict[str, str], handed: tuple[tuple[str, int], ...], no_inheritance: list[int]
) -> None:
    environ |= {"LISTEN_PIDFDID": "1", "HOME": "/"}
    assert handed_over(environ, PID) == handed
    assert environ == {"HOME": "/"}, "a child would believe that it was activated"
    assert no_inheritance == [fd for _, fd in handed]


@pytest.fixture
def manager(folder: Path) -> Iterator[socket.socket]:
    """The service manager's end, bound to a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(5)
        yield channel


def test_every_word_arrives_and_no_child_can_speak_for_us(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(PID)}
    notifier = Notifier(environ, PID)
    assert environ == {}
    notifier.ready("serving")
    notifier.alive()
    notifier.status("locked")
    notifier.stopping(1.5)
    assert [manager.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=serving",
        b"WATCHDOG=1",
        b"STATUS=locked",
        b"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=1500000",
    ]


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"aixtiv-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}, PID).alive()
        assert channel.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("where", ["", "relative", "/nowhere/at/all"])
def test_without_a_manager_words_go_nowhere(where: str) -> None:
    Notifier({"NOTIFY_SOCKET": where}, PID).ready("serving")


def test_a_manager_that_does_not_listen_holds_nothing_up(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()}, PID)
    for _ in range(10_000):
        notifier.alive()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "4711"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "4712"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_only_if_it_watches_this_process(environ: dict[str, str], seconds: float) -> None:
    assert Notifier(environ, PID).watchdog == seconds
