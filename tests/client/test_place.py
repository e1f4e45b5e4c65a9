"""Who is behind a connected socket: its place may be another's by the time it is connected to."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aixtiv import Client, fast, place
from aixtiv.failures import Untrusted

SQUATTER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.setresuid(65534, 65534, 65534)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
listener.settimeout(20)
caller, _ = listener.accept()
print(len(caller.recv(4096)), flush=True)
"""


def ucred(uid: int) -> bytes:
    return (42).to_bytes(4, sys.byteorder) + uid.to_bytes(4, sys.byteorder) + bytes(68)


@pytest.mark.parametrize(("uid", "strange"), [(os.getuid(), False), (0, False), (65534, True), (2**32 - 1, True)])
def test_ourselves_and_root_are_let_pass(uid: int, strange: bool) -> None:
    assert place.stranger(lambda *_: ucred(uid)) is strange


def test_the_kernel_is_asked_and_knows_us() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert not place.stranger(here.getsockopt)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_nothing_is_said_to_another_user_who_took_the_sockets_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a race: the place was looked at, and then became another's."""
    folder.chmod(0o777)
    path = folder / "taken.sock"
    monkeypatch.setattr(place, "distrust", lambda _: None)
    squatter = subprocess.Popen([sys.executable, "-c", SQUATTER, path], stdout=subprocess.PIPE, text=True)
    with squatter:
        assert squatter.stdout
        assert squatter.stdout.readline() == "listening\n"
        with pytest.raises(Untrusted, match="another user answers"):
            Client(str(path)).status()
        assert squatter.stdout.readline() == "0\n"


def test_the_fast_lane_says_nothing_to_a_stranger_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "stranger", lambda _: True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        with pytest.raises(OSError, match="another user"):
            fast._ask(str(folder / "s"), b"request", time.monotonic() + 5)
        caller, _ = listener.accept()
        with caller:
            assert caller.recv(100) == b""
