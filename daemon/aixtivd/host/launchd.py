"""What launchd hands over: launch_activate_socket(3), by ctypes. Written from the manual page, not run on a Mac."""

import errno
from typing import TYPE_CHECKING

from aixtivd.errors import SocketFailed

if TYPE_CHECKING:
    from ctypes import CDLL

_NOT_FOR_US = (errno.ESRCH, errno.ENOENT)  # not started by launchd; the job has no socket of that name


def handed_over(name: str, library: "CDLL | None" = None) -> tuple[tuple[str, int], ...]:
    """The sockets under the key `name` of the job's `Sockets`. Each can be asked for once in a process's life."""
    import ctypes  # noqa: PLC0415  # heavy: loads when first needed

    system = library or ctypes.CDLL(None)
    fds = ctypes.POINTER(ctypes.c_int)()
    count = ctypes.c_size_t(0)
    failed = system.launch_activate_socket(name.encode(), ctypes.byref(fds), ctypes.byref(count))
    if failed in _NOT_FOR_US:
        return ()
    if failed:
        raise SocketFailed(f"launchd does not hand over the socket {name}: {errno.errorcode.get(failed, failed)}")
    taken = tuple((name, fds[index]) for index in range(count.value))
    system.free(fds)  # the manual: "must be freed by the caller"
    return taken
