"""Who is at the other end: what the kernel says, and what its answers look like on either system."""

import os
import select
import socket
import struct
import sys

import pytest

from aixtivd.access.peer import Peer, _darwin_peer, _linux_peer, allowed, hung_up, peer_of

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")


def test_the_kernel_says_who_connected() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert peer_of(here) == Peer(uid=os.getuid(), pid=os.getpid())


def test_only_the_same_user_is_allowed() -> None:
    assert allowed(Peer(uid=os.geteuid(), pid=1))
    assert not allowed(Peer(uid=os.geteuid() + 1, pid=1))


class Kernel:
    """Answers getsockopt with bytes, as no kernel of this machine would."""

    def __init__(self, answers: dict[tuple[int, int], bytes | int]) -> None:
        self.answers = answers

    def getsockopt(self, level: int, option: int, size: int = 0) -> bytes | int:
        return self.answers[level, option]


def xucred(uid: int, version: int = 0) -> bytes:
    """struct xucred as <sys/ucred.h> has it: 76 bytes, two of them padding behind the number of groups."""
    return struct.pack("=IIhxx", version, uid, 2) + struct.pack("=16I", 20, 12, *[0] * 14)


def test_darwins_answer_is_read_as_its_header_lays_it_out() -> None:
    kernel = Kernel({(0, 1): xucred(501), (0, 2): 4711})
    assert _darwin_peer(kernel) == Peer(uid=501, pid=4711)  # type: ignore[arg-type]  # all it has is getsockopt


@pytest.mark.parametrize("answer", [xucred(501, version=1), xucred(501)[:-4], b""])
def test_an_answer_of_darwin_that_is_not_understood_serves_nobody(answer: bytes) -> None:
    with pytest.raises(OSError, match="unknown"):
        _darwin_peer(Kernel({(0, 1): answer, (0, 2): 4711}))  # type: ignore[arg-type]  # all it has is getsockopt


@LINUX
def test_a_uid_above_two_to_the_31_is_not_negative() -> None:
    kernel = Kernel({(socket.SOL_SOCKET, socket.SO_PEERCRED): struct.pack("=iII", 7, 0xFFFF_FFF0, 0)})
    assert _linux_peer(kernel).uid == 0xFFFF_FFF0  # type: ignore[arg-type]  # all it has is getsockopt


def test_a_half_close_is_not_a_hang_up_and_a_close_is() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here:
        with there:
            assert not hung_up(here.fileno())
            there.shutdown(socket.SHUT_WR)
            assert here.recv(1) == b""
            assert not hung_up(here.fileno())
        assert hung_up(here.fileno())


def test_who_reads_nothing_has_not_hung_up() -> None:
    """A full buffer makes a socket unwritable, which is not the same."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        here.setblocking(False)
        while select.select([], [here], [], 0)[1]:
            here.send(b"x" * 65536)
        assert not hung_up(here.fileno())
