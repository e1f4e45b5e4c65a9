"""launchd's answers, played by C functions of our own: no Mac at hand (README says so)."""

import ctypes
import errno
from collections.abc import Callable
from typing import Any

import pytest

from aixtivd.errors import SocketFailed
from aixtivd.host.launchd import handed_over


class Library:
    """libSystem as far as launch_activate_socket(3) is described: an array of descriptors that the caller frees."""

    def __init__(self, answer: int, fds: tuple[int, ...] = ()) -> None:
        self.freed: list[int] = []
        self.array = (ctypes.c_int * max(len(fds), 1))(*fds)
        self.asked: list[bytes] = []

        def launch_activate_socket(name: bytes, fds_out: Any, count_out: Any) -> int:
            self.asked.append(name)
            if answer == 0:
                fds_out._obj.contents = ctypes.c_int.from_buffer(self.array)
                count_out._obj.value = len(fds)
            return answer

        self.launch_activate_socket: Callable[[bytes, Any, Any], int] = launch_activate_socket

    def free(self, pointer: Any) -> None:
        self.freed.append(ctypes.addressof(pointer.contents))


def test_every_descriptor_under_the_name_is_taken_and_the_array_freed() -> None:
    library = Library(0, (5, 6))
    assert handed_over("aixtiv", library) == (("aixtiv", 5), ("aixtiv", 6))  # type: ignore[arg-type]  # as far as asked
    assert library.asked == [b"aixtiv"]
    assert library.freed == [ctypes.addressof(library.array)]


@pytest.mark.parametrize("why", [errno.ESRCH, errno.ENOENT])
def test_not_being_started_by_launchd_is_ordinary(why: int) -> None:
    assert handed_over("aixtiv", Library(why)) == ()  # type: ignore[arg-type]  # as far as asked


def test_a_socket_that_was_taken_already_is_a_sentence() -> None:
    with pytest.raises(SocketFailed, match="launchd does not hand over the socket aixtiv: EALREADY"):
        handed_over("aixtiv", Library(errno.EALREADY))  # type: ignore[arg-type]  # as far as asked
