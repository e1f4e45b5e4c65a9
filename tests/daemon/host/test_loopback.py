"""Who is at the other end of a connection over loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixtivd.host import loopback
from aixtivd.host.loopback import LEFT, Address, asked, is_ours, owner

linux = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
FOUR = HEAD + (
    b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000   500        0 11 1 0 100 0\n"
    b"   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000   500        0 12 1 0 20 4\n"
    b"   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 20 4\n"
    b"   3: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:000016D5 00000000     0        0 0 3 0\n"
    b"   4: 0100007F:C3 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  9 0 14 1\n"
)
SIX = HEAD + (
    b"   0: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 "
    b"00:00000000 00000000  1001        0 15 1 0 20 4\n"
    b"   1: 00000000000000000000000001000000:C353 00000000000000000000000001000000:1F90 01 00000000:00000000 "
    b"00:00000000 00000000  1002        0 16 1 0 20 4\n"
)


@pytest.mark.skipif(sys.byteorder != "little", reason="the tables above are of a little-endian machine")
@pytest.mark.parametrize(
    ("host", "port", "uid"),
    [
        ("127.0.0.1", 50000, 1000),
        ("127.0.0.1", 50001, None),  # closed: what is left of it has no owner
        ("127.0.0.1", 50002, 1001),  # an IPv6 socket that speaks IPv4
        ("::1", 50003, 1002),
        ("::1", 50000, None),
        ("127.0.0.1", 50004, None),
        ("127.0.0.2", 50000, None),
    ],
)
def test_the_tables_name_the_owner_of_the_other_end(host: str, port: int, uid: int | None) -> None:
    ours = "::1" if ":" in host else "127.0.0.1"
    assert owner([FOUR, SIX], (ours, 8080), (host, port)) == uid


@contextmanager
def connected(
    family: socket.AddressFamily, host: str, reached_as: str
) -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.socket() as four,
        socket.socket(socket.AF_INET6) as six,
    ):
        caller = six if ":" in reached_as else four
        caller.connect((reached_as, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted:
            yield accepted, caller


def ends(accepted: socket.socket) -> tuple[Address, Address]:
    return accepted.getsockname()[:2], accepted.getpeername()[:2]


@linux
@pytest.mark.parametrize(
    ("family", "host", "reached_as"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET, "127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_a_process_of_ours_is_known_until_it_closes(family: socket.AddressFamily, host: str, reached_as: str) -> None:
    with connected(family, host, reached_as) as (accepted, caller):
        here, there = ends(accepted)
        tables = [path.read_bytes() for path in loopback.TABLES]
        assert owner(tables, here, there) == os.geteuid()
        assert asked(here, there) in {os.geteuid(), None}
        assert is_ours(here, there)
        caller.close()
        assert asked(here, there) in {LEFT, None}
        assert not is_ours(here, there)  # its uid reads as root's now


@linux
@pytest.mark.parametrize("silent", [False, True])
def test_another_uid_is_not_ours(silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`silent`: the kernel cannot be asked for one connection, only its tables be read."""
    with connected(socket.AF_INET, "127.0.0.1", "127.0.0.1") as (accepted, _):
        monkeypatch.setattr(loopback, "asked", lambda *_: None if silent else 54321)
        assert is_ours(*ends(accepted)) == silent
        monkeypatch.setattr(loopback, "owner", lambda *_: 54321)
        assert not is_ours(*ends(accepted))


@linux
def test_asking_for_one_connection_opens_no_file_and_takes_no_longer_where_there_are_many() -> None:
    with connected(socket.AF_INET, "127.0.0.1", "127.0.0.1") as (accepted, _):
        if asked(*ends(accepted)) is None:
            pytest.skip("this kernel does not answer sock_diag")
        began = time.perf_counter()
        for _ in range(200):
            assert asked(*ends(accepted)) == os.geteuid()
        assert (time.perf_counter() - began) / 200 < 0.002  # some 12 µs; the tables take milliseconds here


@linux
@root
def test_a_process_of_another_user_is_not_ours() -> None:
    code = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.send(b'.'); s.recv(1)"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = ["/usr/bin/env", "python3", "-c", code, str(listener.getsockname()[1])]
        with subprocess.Popen(command, user=65534, group=65534, extra_groups=[], cwd="/"):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(1) == b"."
                here, there = ends(accepted)
                assert owner([path.read_bytes() for path in loopback.TABLES], here, there) == 65534
                assert asked(here, there) in {65534, None}
                assert not is_ours(here, there)


@pytest.mark.parametrize("tables", [(), (Path("/nowhere/tcp"),)])
def test_where_the_kernel_does_not_say_nobody_is_refused(
    tables: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback, "TABLES", tables)
    assert is_ours(("127.0.0.1", 1), ("127.0.0.1", 2))
