"""Many calls: a hundred streams over one refresh, and thousands that leave nothing behind."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aixtivd.access.rules import Rules
from aixtivd.config import ApiConfig
from aixtivd.relay.relay import Relay
from peers.claude import Claude, Weather
from peers.clock import FakeClock
from peers.house import Held, House, granted, opened
from peers.relaying import STREAM, Around, hello, relaying

CROWD = 100


@asynccontextmanager
async def at_home(folder: Path, claude: Claude) -> AsyncIterator[tuple[House, Relay]]:
    """A relay with the real accounts, one of which is signed in; its first token is access-0."""
    async with opened(folder, FakeClock(), api={"anthropic": ApiConfig(origin=claude.url)}) as house:
        await house.adopt("anthropic")
        relay = Relay(house.accounts, house.audit, house.config(), Rules(house.config()))
        try:
            yield house, relay
        finally:
            await relay.aclose()


async def streamed(relay: Relay) -> tuple[int, bytes]:
    async with relay.call(hello(body=STREAM)) as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces])


def all_whole(answers: list[tuple[int, bytes]]) -> bool:
    return all(status == 200 and b"event: message_stop" in body for status, body in answers)


async def test_a_token_that_is_revoked_amid_a_hundred_streams_breaks_none_and_is_refreshed_once(folder: Path) -> None:
    async with Claude() as claude, at_home(folder, claude) as (house, relay):
        claude.credentials.accept_only("access-0")
        claude.set_weather(*[Weather(silence=3)] * CROWD)
        refresh = Held(granted(1))
        house.script.answers = [refresh]
        async with asyncio.TaskGroup() as tasks:
            before = [tasks.create_task(streamed(relay)) for _ in range(CROWD)]
            await claude.until(silent=CROWD)
            claude.credentials.accept_only("access-1")
            after = [tasks.create_task(streamed(relay)) for _ in range(CROWD)]
            await refresh.asked.wait()
            await claude.until(requests=2 * CROWD)  # each has been refused, and waits for the same refresh
            refresh.release.set()
            await claude.until(requests=3 * CROWD, over=2 * CROWD)
            claude.release()
        assert all_whole([task.result() for task in before])
        assert all_whole([task.result() for task in after])
        assert house.script.spent == ["refresh-0"]
        assert house.script.most_at_once == 1


async def test_a_token_that_expires_amid_a_hundred_streams_breaks_none_and_is_refreshed_once(folder: Path) -> None:
    async with Claude() as claude, at_home(folder, claude) as (house, relay):
        claude.credentials.accept_only("access-0", "access-1")
        claude.set_weather(*[Weather(silence=3)] * CROWD)
        house.script.answers = [granted(1)]
        async with asyncio.TaskGroup() as tasks:
            before = [tasks.create_task(streamed(relay)) for _ in range(CROWD)]
            await claude.until(silent=CROWD)
            house.clock.advance(3601)
            after = [tasks.create_task(streamed(relay)) for _ in range(CROWD)]
            await claude.until(requests=2 * CROWD, over=CROWD)
            claude.release()
        assert all_whole([task.result() for task in [*before, *after]])
        assert [heard.credential for heard in claude.requests] == ["access-0"] * CROWD + ["access-1"] * CROWD
        assert house.script.spent == ["refresh-0"]


async def calls(around: Around, number: int) -> None:
    """Ten at a time: some read, some left in the middle, some refused by the API."""

    async def ten(which: int) -> None:
        for turn in range(number // 10):
            async with around.relay.call(hello(body=STREAM if turn % 2 else hello().body)) as answer:
                if which or turn % 10:
                    async for _ in answer.pieces:
                        pass

    await asyncio.gather(*(ten(which) for which in range(10)))
    around.ledger.records.clear()
    around.purse.asked.clear()


def _open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def _settled(claude: Claude) -> None:
    """The API has noticed whatever was left in the middle."""
    for _ in range(20):
        await asyncio.sleep(0.01)
    gc.collect()


async def test_five_hundred_calls_leave_no_descriptor_open_and_nothing_in_memory() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.recording = False
        await calls(around, 200)
        await _settled(claude)
        descriptors, objects = _open_descriptors(), _objects()
        await calls(around, 500)
        await _settled(claude)
        assert _open_descriptors() <= descriptors + 5  # connections that wait for a next call
        assert _objects() < objects + 400  # less than one for a call
        assert around.relay._upstream._line is not None
        assert len(around.relay._upstream._line._open) <= 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_ten_thousand_calls_leave_memory_flat_and_no_descriptor_open() -> None:
    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    async with Claude() as claude, relaying(claude.url) as around:
        claude.recording = False
        await calls(around, 2000)
        await _settled(claude)
        descriptors, before = _open_descriptors(), resident()
        for _ in range(5):
            await calls(around, 2000)
        await _settled(claude)
        grown = resident() - before
        print(f"10000 calls: {before:.1f} MB, {grown:+.1f} MB")
        assert grown < 3
        assert _open_descriptors() <= descriptors + 5
