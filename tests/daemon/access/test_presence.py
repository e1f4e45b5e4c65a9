"""Processes that end: real ones, killed, on both event loops; and numbers that were given to another."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest

from aixtivd.access import presence
from aixtivd.access.presence import LOOK, Gone, Presence, Process, began_before, process
from peers.clock import FakeClock, limit

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


@pytest.fixture
def zombie() -> Iterator[int]:
    """The number of a process that has ended and that nobody has buried yet."""
    with subprocess.Popen(["true"]) as short:
        os.waitid(os.P_PID, short.pid, os.WEXITED | os.WNOWAIT)
        yield short.pid


@pytest.fixture
def buried() -> int:
    with subprocess.Popen(["true"]) as short:
        short.wait()
    return short.pid


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # their names are numbers


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@LINUX
def test_the_kernel_says_whose_child_a_process_is_and_when_it_began(child: subprocess.Popen[bytes]) -> None:
    found = process(child.pid)
    assert found is not None
    assert (found.pid, found.parent, found.uid) == (child.pid, os.getpid(), os.geteuid())
    assert began_before(found, boottime())
    assert not began_before(found, boottime() - 60)


@LINUX
def test_a_process_that_names_itself_as_it_likes_is_read_right() -> None:
    """The command's name stands in `stat` as it is, parentheses and blanks and all."""
    program = "import sys,ctypes; ctypes.CDLL(None).prctl(15, b') R 1 ( 7'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as odd:
        assert odd.stdout
        odd.stdout.readline()
        found = process(odd.pid)
        odd.kill()
    assert found
    assert (found.pid, found.parent) == (odd.pid, os.getpid())


def test_ps_says_the_same_where_there_is_no_proc(child: subprocess.Popen[bytes]) -> None:
    found = presence._by_ps(child.pid)
    assert found
    assert (found.pid, found.parent, found.uid) == (child.pid, os.getpid(), os.geteuid())
    assert found == presence._by_ps(child.pid)
    assert began_before(found, 1.0)  # what cannot be compared is not held against it
    assert presence._by_ps(2**22 + 1) is None


def test_of_a_process_that_is_gone_nothing_is_known(buried: int) -> None:
    assert process(buried) is None


async def told(holder: Presence, pid: int, since: float = 0.0) -> tuple[anyio.Event, Callable[[], None]]:
    event = anyio.Event()
    return event, await holder.watch(pid, since, event.set)


async def killed_is_told(child: subprocess.Popen[bytes]) -> None:
    holder = Presence(FakeClock())
    one, _ = await told(holder, child.pid, boottime())
    two, _ = await told(holder, child.pid, boottime())
    let_go, release = await told(holder, child.pid)
    release()
    child.send_signal(signal.SIGKILL)
    async with limit(10):
        await one.wait()
        await two.wait()
    assert not let_go.is_set()
    release()  # once more does no harm
    holder.close()


def with_uvloop(work: Callable[[], Awaitable[None]]) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def run() -> None:
        await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@LINUX
async def test_a_killed_process_is_told_at_once_to_all_who_wanted_to_know(child: subprocess.Popen[bytes]) -> None:
    await killed_is_told(child)


@LINUX
def test_also_on_uvloop(child: subprocess.Popen[bytes]) -> None:
    with_uvloop(lambda: killed_is_told(child))


@LINUX
async def test_a_process_takes_one_descriptor_and_gives_it_back(child: subprocess.Popen[bytes]) -> None:
    await anyio.to_thread.run_sync(process, child.pid)  # the loop and its threads have theirs
    before = descriptors()
    holder = Presence(FakeClock())
    releases = [(await told(holder, child.pid))[1] for _ in range(50)]
    assert len(descriptors() - before) == 1
    for release in releases:
        release()
    assert descriptors() == before


async def test_a_process_that_has_ended_cannot_be_watched(buried: int) -> None:
    holder = Presence(FakeClock())
    for pid in (buried, 2**22 + 1, -1):
        with pytest.raises(Gone):
            await told(holder, pid)


@LINUX
async def test_a_zombie_counts_as_ended(zombie: int) -> None:
    assert await anyio.to_thread.run_sync(process, zombie)
    with pytest.raises(Gone):
        await told(Presence(FakeClock()), zombie)


@LINUX
async def test_a_process_that_began_later_than_its_number_was_seen_is_another(child: subprocess.Popen[bytes]) -> None:
    """The one that connected has died, and its number was given to the next."""
    with pytest.raises(Gone):
        await told(Presence(FakeClock()), child.pid, boottime() - 60)


async def test_a_number_that_is_reused_while_it_is_looked_up_is_noticed(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor is of the process that was there first: it has ended by the time /proc tells of the next."""

    def reused(pid: int) -> Process | None:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return Process(pid, 1, os.geteuid(), "1")

    monkeypatch.setattr(presence, "process", reused)
    with pytest.raises(Gone):
        await told(Presence(FakeClock()), child.pid, boottime())


async def test_a_process_that_a_sandbox_hides_is_watched_by_its_descriptor(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "process", lambda _: None)
    event, _ = await told(Presence(FakeClock()), child.pid, boottime())
    child.kill()
    async with limit(10):
        await event.wait()


def no_such_call(_: int) -> int:
    raise OSError(errno.ENOSYS, "pidfd_open")


@pytest.mark.parametrize("opener", [None, no_such_call], ids=["no such function", "an old kernel"])
async def test_where_nobody_announces_an_end_it_is_looked_for(
    opener: Callable[[int], int] | None, child: subprocess.Popen[bytes]
) -> None:
    clock = FakeClock()
    holder = Presence(clock, opener)
    async with limit(20), anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await anyio.wait_all_tasks_blocked()
        assert clock.pauses == []  # no timer while there is nothing to look at
        event, _ = await told(holder, child.pid, boottime())
        await anyio.wait_all_tasks_blocked()
        assert clock.pauses == [LOOK]
        child.kill()
        child.wait()
        clock.advance(LOOK + 1)
        await event.wait()
        clock.advance(LOOK + 1)
        await anyio.wait_all_tasks_blocked()
        looks = len(clock.pauses)
        clock.advance(100)
        await anyio.wait_all_tasks_blocked()
        assert len(clock.pauses) == looks
        tasks.cancel_scope.cancel()


async def test_looking_finds_a_number_that_was_given_to_another(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    holder = Presence(clock, None)
    event, _ = await told(holder, child.pid)
    monkeypatch.setattr(presence, "process", lambda pid: Process(pid, 1, os.geteuid(), "another"))
    async with limit(20), anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await anyio.wait_all_tasks_blocked()
        clock.advance(LOOK + 1)
        await event.wait()
        tasks.cancel_scope.cancel()
