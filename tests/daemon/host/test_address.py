"""Where the socket is: who may have it, and that nobody loses one that is in use."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aixtivd.errors import SocketFailed
from aixtivd.host.address import Address, claim, taken_over

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
NOBODY = 65534


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "run/a.sock"


@pytest.fixture
def claimed(path: Path) -> Iterator[Address]:
    address = claim(path)
    yield address
    address.give_up()


def dead_socket(path: Path, mode: int = 0o600) -> None:
    """What a killed daemon leaves behind."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    path.chmod(mode)


def test_folder_and_socket_are_made_for_us_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        address = claim(path)
    finally:
        after = os.umask(before)
    assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
    assert after == 0
    address.give_up()


def test_the_path_is_free_again_afterwards(claimed: Address) -> None:
    claimed.give_up()
    assert not claimed.path.exists()


def test_a_socket_that_another_daemon_put_there_meanwhile_is_left_alone(claimed: Address) -> None:
    claimed.path.unlink()
    dead_socket(claimed.path)
    claimed.give_up()
    assert claimed.path.is_socket()


def test_a_path_that_is_gone_already_is_fine(claimed: Address) -> None:
    claimed.path.unlink()
    claimed.give_up()


def test_a_dead_daemons_socket_is_replaced(path: Path) -> None:
    dead_socket(path)
    before = path.stat().st_ino, path.stat().st_ctime_ns
    address = claim(path)
    assert (path.stat().st_ino, path.stat().st_ctime_ns) != before
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
    address.give_up()


def test_a_living_daemons_socket_is_not(claimed: Address) -> None:
    with pytest.raises(SocketFailed, match="another daemon listens at"):
        claim(claimed.path)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(claimed.path))


def test_a_daemon_too_busy_to_accept_is_alive(path: Path) -> None:
    """A full queue answers EAGAIN, not ECONNREFUSED."""
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as caller:
        busy.bind(str(path))
        busy.listen(0)
        caller.connect(str(path))
        with pytest.raises(SocketFailed, match="another daemon listens at"):
            claim(path)
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "fifo"])
def test_what_is_not_a_socket_is_never_removed(path: Path, kind: str) -> None:
    path.parent.mkdir(mode=0o700)
    match kind:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("elsewhere")
        case _:
            os.mkfifo(path)
    with pytest.raises(SocketFailed, match="it is not a socket"):
        claim(path)
    assert stat.S_IFMT(path.lstat().st_mode)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_open_to_others_is_refused_with_the_command_that_mends_it(path: Path, mode: int) -> None:
    path.parent.mkdir(mode=0o700)
    path.parent.chmod(mode)
    with pytest.raises(SocketFailed, match="open to other users") as failed:
        claim(path)
    assert failed.value.hint == f"chmod 700 {path.parent}"
    assert not path.exists()


def test_a_folder_meant_for_all_is_not_closed_for_a_sockets_sake(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o1777)
    monkeypatch.setenv("AIXTIV_SOCKET", str(path))
    with pytest.raises(SocketFailed, match="open to other users") as failed:
        claim(path)
    assert failed.value.hint == "unset AIXTIV_SOCKET"


@AS_ROOT
def test_a_folder_of_another_user_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    os.chown(path.parent, NOBODY, NOBODY)
    with pytest.raises(SocketFailed, match="belongs to another user"):
        claim(path)


@AS_ROOT
@pytest.mark.parametrize("whose", ["link", "target"])
def test_a_link_counts_only_if_link_and_folder_are_ours(path: Path, whose: str) -> None:
    target = path.parent.with_name("target")
    target.mkdir(mode=0o700)
    path.parent.symlink_to(target)
    claim(path).give_up()
    os.chown(path.parent if whose == "link" else target, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(SocketFailed, match="belongs to another user"):
        claim(path)


@AS_ROOT
def test_a_dead_socket_of_another_user_is_refused(path: Path) -> None:
    dead_socket(path)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(SocketFailed, match="belongs to another user"):
        claim(path)
    assert path.exists()


def test_a_folder_that_is_a_file_is_a_sentence(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(SocketFailed, match=r"the socket .* cannot be made: File exists"):
        claim(path)


def test_a_path_longer_than_a_socket_path_can_be_is_a_sentence(folder: Path) -> None:
    fits = folder / ("x" * (107 - len(str(folder)) - 1))
    claim(fits).give_up()
    with pytest.raises(SocketFailed, match="longer than the 107 bytes") as failed:
        claim(fits.with_name(fits.name + "x"))
    assert failed.value.hint.startswith("export AIXTIV_SOCKET=")


CLAIMS = """
import sys, time
from pathlib import Path
from aixtivd.errors import SocketFailed
from aixtivd.host import address
from aixtivd.host.address import claim

def slowly(path, probe=address._somebody_listens):
    found = probe(path)
    time.sleep(0.1)  # so that all of them would find the same, were they not one after the other
    return found

address._somebody_listens = slowly
print("ready", flush=True)
sys.stdin.readline()
try:
    claimed = claim(Path(sys.argv[1]))
    print("mine", flush=True)
except SocketFailed as error:
    print(error.sentence, flush=True)
sys.stdin.readline()
"""


def test_of_daemons_that_start_at_once_one_gets_the_socket(path: Path) -> None:
    """Also where a dead one's socket lies there, which only one of them may remove."""
    dead_socket(path)
    daemons = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    streams = [(daemon.stdin, daemon.stdout) for daemon in daemons]
    for _, out in streams:
        assert out
        assert out.readline() == "ready\n"
    for stdin, _ in streams:
        assert stdin
        stdin.write("\n")
        stdin.flush()
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda pair: pair[1].readline() if pair[1] else "", streams))
    assert sorted(line == "mine\n" for line in said) == [False] * 5 + [True]
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
    for daemon in daemons:
        daemon.communicate("\n")


def test_a_socket_taken_over_is_checked_and_never_removed(path: Path) -> None:
    dead_socket(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen()
        address = taken_over(listening)
        assert (address.path, address.inode) == (path, None)
        address.give_up()
        assert path.exists()


def test_one_that_the_daemon_before_made_is_ours_to_remove_as_long_as_it_is_that_one(path: Path) -> None:
    dead_socket(path)
    path.unlink()
    for removed in (True, False):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            path.chmod(0o600)
            listening.listen()
            found = path.lstat()
            address = taken_over(listening, (found.st_dev, found.st_ino if removed else found.st_ino + 1))
            address.give_up()
            assert path.exists() is not removed


@pytest.mark.parametrize(("what", "sentence"), [("socket", "the socket .* is open"), ("folder", "folder .* is open")])
def test_a_socket_taken_over_that_others_can_reach_is_refused(path: Path, what: str, sentence: str) -> None:
    dead_socket(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        (path if what == "socket" else path.parent).chmod(0o755)
        listening.listen()
        with pytest.raises(SocketFailed, match=sentence):
            taken_over(listening)


def test_a_socket_taken_over_must_be_a_unix_stream() -> None:
    with socket.socket(socket.AF_INET) as inet, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        for wrong in (inet, datagrams):
            with pytest.raises(SocketFailed, match="not a Unix stream socket"):
                taken_over(wrong)
