"""A config that is read again: what it says of the network is true from the next call on, and nothing piles up."""

import gc
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aixtivd.config import Network
from aixtivd.relay import upstream
from aixtivd.relay.upstream import Upstream
from peers.claude import Claude


async def test_settings_that_change_while_the_way_is_opened_are_the_ones_it_is_opened_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    loads: list[str] = []
    loading, go_on = threading.Event(), threading.Event()
    load = upstream._load

    def slowly(ca_file: str) -> object:
        loads.append(ca_file)
        loading.set()
        assert go_on.wait(20)
        return load("")

    monkeypatch.setattr(upstream, "_load", slowly)
    old, new = Network(ca_file=str(folder / "old")), Network(ca_file=str(folder / "new"))
    way = Upstream(old)
    async with Claude() as claude, anyio.create_task_group() as tasks:
        tasks.start_soon(way.send, "GET", f"{claude.url}/v1/models", [], None)
        assert await anyio.to_thread.run_sync(loading.wait, 20)
        way.configure(new)
        go_on.set()
    assert loads == [old.ca_file, new.ca_file]
    await way.aclose()


async def test_ways_that_nothing_is_on_any_more_do_not_pile_up() -> None:
    way = Upstream(Network())
    async with Claude() as claude:
        for number in range(5):
            sent = await way.send("GET", f"{claude.url}/v1/models", [], None)
            way.configure(Network(no_proxy=(str(number),)))
            sent.close()
        with anyio.fail_after(20):
            while way._retired:  # their transports take a turn of the loop to let go of them
                gc.collect()
                await anyio.lowlevel.checkpoint()
        sent = await way.send("GET", f"{claude.url}/v1/models", [], None)
        way.configure(Network())
        assert len(way._retired) == 1, "what is under way ends with the daemon"
        await way.aclose()
        assert not sent.whole
