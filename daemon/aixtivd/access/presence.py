"""Processes that hold something, and the moment at which each of them ends."""

import asyncio
import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct

from aixtivd.clock import Clock

LOOK: Final = 3.0
"""Seconds between two looks at processes that the kernel does not announce: a ticket outlives its holder by no more."""

PIDFD_OPEN: Final[Callable[[int], int] | None] = getattr(os, "pidfd_open", None)  # Linux 5.3
_TICK: Final = os.sysconf("SC_CLK_TCK")  # of starttime, proc(5)
_PS: Final = ("/bin/ps", "-o", "pid=,ppid=,uid=,lstart=", "-p")


class Gone(Exception):
    """That process has ended; its number may be another's by now."""


class Process(Struct, frozen=True):
    """One process, as the kernel describes it. `started` tells it from a later one with the same number."""

    pid: int
    parent: int
    uid: int  # effective
    started: str  # Linux: ticks since boot, sleep included; elsewhere as `ps` writes it


def process(pid: int) -> Process | None:
    """None: there is none, or a sandbox hides it. Blocking."""
    return _by_proc(pid) if sys.platform == "linux" else _by_ps(pid)


def _by_proc(pid: int) -> Process | None:
    """The uid from `status`: the folder's owner is root where a process is not dumpable (proc(5))."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    uids = status[status.index(b"\nUid:") :].split(maxsplit=3)
    fields = stat[stat.rindex(b")") + 2 :].split()  # behind the command's name, which may hold anything: state, ppid, …
    return Process(pid=pid, parent=int(fields[1]), uid=int(uids[2]), started=fields[19].decode())


def _by_ps(pid: int) -> Process | None:
    """POSIX, and the same on macOS, but for `lstart`, which both write (not run on a Mac)."""
    ran = subprocess.run([*_PS, str(pid)], capture_output=True, text=True, check=False, timeout=10, env={"LC_ALL": "C"})
    found = ran.stdout.split(maxsplit=3)
    if ran.returncode or len(found) < 4:
        return None
    return Process(pid=int(found[0]), parent=int(found[1]), uid=int(found[2]), started=found[3].strip())


def began_before(process: Process, moment: float) -> bool:
    """Whether it was there at that moment of the clock that counts sleep. A number of a later process was reused."""
    return not process.started.isdigit() or int(process.started) / _TICK <= moment


class _Watched:
    """A process and who wants to hear of its end."""

    def __init__(self, pid: int, started: str, fd: int | None) -> None:
        self.pid = pid
        self.started = started
        self.fd = fd  # None: nobody tells us, we have to look
        self.ended: dict[int, Callable[[], None]] = {}


class Presence:
    """Calls back once when a process ends: at once by its pidfd on Linux, else within some seconds.

    One descriptor for each process, however often it is watched. `run` is needed only for those that have none.
    """

    def __init__(self, clock: Clock, opener: Callable[[int], int] | None = PIDFD_OPEN) -> None:
        self._clock = clock
        self._opener = opener
        self._watched: dict[tuple[int, str], _Watched] = {}
        self._to_look_at = anyio.Event()
        self._number = 0

    async def watch(self, pid: int, since: float, ended: Callable[[], None], started: str = "") -> Callable[[], None]:
        """`ended` is called in the loop, once, unless what is returned was called before.

        `since`: when that number was seen (CLOCK_BOOTTIME; 0: not known): a process that began later is another one.
        `started`: as `started` said of it; one that began at another time is another one. Raises Gone.
        """
        fd = self._opened(pid)
        try:
            found = await anyio.to_thread.run_sync(process, pid)
            _expect_there(fd, found, since, started)
        except BaseException:
            _close(fd)
            raise
        return self._join(_Watched(pid, found.started if found else "", fd), ended)

    def started(self, pid: int) -> str:
        """When a process that is watched began; empty: it is not, or a sandbox hides that."""
        return next((started for watched, started in self._watched if watched == pid), "")

    def _opened(self, pid: int) -> int | None:
        if self._opener is None:
            return None
        try:
            return self._opener(pid)
        except ProcessLookupError:
            raise Gone from None
        except OSError as error:
            if error.errno == errno.EINVAL:  # no process can have this number
                raise Gone from None
            return None  # an old kernel, a filter of system calls, no descriptor left

    def _join(self, new: _Watched, ended: Callable[[], None]) -> Callable[[], None]:
        key = (new.pid, new.started)
        watched = self._watched.get(key)
        if watched is None:
            self._watched[key] = watched = new
            self._listen(new)
        else:
            _close(new.fd)
        self._number = number = self._number + 1
        watched.ended[number] = ended
        return lambda: self._leave(key, number)

    def _listen(self, watched: _Watched) -> None:
        if watched.fd is not None:
            asyncio.get_running_loop().add_reader(watched.fd, self._over, (watched.pid, watched.started))
        else:
            self._to_look_at.set()

    def _leave(self, key: tuple[int, str], number: int) -> None:
        if (watched := self._watched.get(key)) and watched.ended.pop(number, None) and not watched.ended:
            self._forget(key)

    def _over(self, key: tuple[int, str]) -> None:
        for ended in self._forget(key):
            ended()

    def _forget(self, key: tuple[int, str]) -> list[Callable[[], None]]:
        watched = self._watched.pop(key)
        if watched.fd is not None:
            asyncio.get_running_loop().remove_reader(watched.fd)
            _close(watched.fd)
        return list(watched.ended.values())

    async def run(self) -> None:
        """Looks after those without a descriptor; sleeps while there are none."""
        while True:
            await self._to_look_at.wait()
            await self._clock.pause(anyio.Event(), LOOK)
            unannounced = [key for key, watched in self._watched.items() if watched.fd is None]
            if not unannounced:
                self._to_look_at = anyio.Event()
                continue
            for key in await anyio.to_thread.run_sync(_ended_among, unannounced):
                if key in self._watched:
                    self._over(key)

    def close(self) -> None:
        """Nobody is told any more."""
        for key in list(self._watched):
            self._forget(key)


def _expect_there(fd: int | None, found: Process | None, since: float, started: str) -> None:
    """Raises Gone. With a descriptor and nothing in /proc it is there, and a sandbox hides it."""
    if started and (found is None or found.started != started):
        raise Gone
    if found is not None and since and not began_before(found, since):
        raise Gone
    # Looked at last: while it lives, its number is nobody else's, so what was found was about it.
    if found is None if fd is None else _has_ended(fd):
        raise Gone


def _has_ended(fd: int) -> bool:
    """A pidfd can be read once its process is no more than a zombie (pidfd_open(2))."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _ended_among(keys: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(pid, started) for pid, started in keys if (found := process(pid)) is None or found.started != started]


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)
